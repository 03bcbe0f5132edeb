"""What stands in the database, so that it can be said that nothing was written."""

import os

from django.apps import apps
from django.db import connection

# `./run test --faults` tries all of everything; else each place gets each fourth, another for another place.
STEP = 1 if os.environ.get("HEADWAY_FAULTS") == "full" else 4
# Rows that every request may write: who was here when, and the epoch, which is made when it is first read.
NOT_COUNTED = {"django_session", "headway_lastseen", "realtime_epoch"}


def counts() -> dict[str, int]:
    """Return the number of rows of each table of ours, in one statement."""
    return _each("count(*)")


def contents() -> dict[str, int]:
    """Return a number for each table of ours that is another one when a row was changed."""
    return _each("coalesce(sum(hashtext(t::text)::bigint), 0) + count(*)")


def _each(figure: str) -> dict[str, int]:
    tables = {model._meta.db_table for model in apps.get_models() if model._meta.managed} - NOT_COUNTED
    each = " UNION ALL ".join(f"SELECT '{table}', {figure} FROM \"{table}\" t" for table in sorted(tables))
    with connection.cursor() as cursor:
        cursor.execute(each)
        return dict(cursor.fetchall())
