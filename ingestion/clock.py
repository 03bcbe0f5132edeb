"""The database's clock: the only one that leases and times are compared with."""

from datetime import datetime

from django.db import connection, models


class ClockTimestamp(models.Func):
    """The wall clock of the database; `now()` would be the start of the transaction."""

    template = "clock_timestamp()"
    output_field = models.DateTimeField()


def read_clock() -> datetime:
    """Return the wall clock of the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        clock: datetime = cursor.fetchone()[0]
    return clock
