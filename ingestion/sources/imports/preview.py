"""What an import comes to before it is written: how many rows do what, and what is wrong by cause."""

from typing import Any

from django.db import connection
from psycopg import sql

from ingestion.sources.imports import loading
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.models import Import

MAX_CAUSES = 100
MAX_EXAMPLE = 100  # characters


def count(imported: Import) -> None:
    """Write down how many rows there are, how many are bad or doubtful, and how many are of new units."""
    columns = Columns.of(imported)
    query = sql.SQL(
        """
        SELECT count(*), count(errors), count(*) FILTER (WHERE errors IS NULL AND warnings IS NOT NULL),
            count(*) FILTER (WHERE errors IS NULL AND NOT EXISTS (
                SELECT FROM imports_unit AS unit WHERE {is_of}
            ))
        FROM imports_importrow WHERE import_id = {pk}
        """
    ).format(pk=sql.Literal(imported.pk), is_of=loading.is_of(columns, "unit"))
    with connection.cursor() as cursor:
        cursor.execute(query.as_string(cursor.connection))
        row: Any = cursor.fetchone()
    names = ("rows_total", "rows_bad", "rows_doubtful", "rows_new")
    found = dict(zip(names, row, strict=True))
    Import.objects.filter(pk=imported.pk).update(**found, problems=causes(imported))


def causes(imported: Import) -> list[dict[str, Any]]:
    """Return what is wrong by cause, most rows first: {key, level, column, code, text, rows, first, example}.

    What a decision took away counts as before: its cause stays, and the decision can be taken back.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CAUSES, {"pk": imported.pk, "most": MAX_CAUSES})
        names = ("key", "level", "column", "code", "text", "rows", "first")
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    firsts = imported.rows.filter(number__in=[one["first"] for one in found])
    cells = dict(firsts.values_list("number", "cells"))
    for one in found:
        place = imported.header.index(one["column"]) if one["column"] in imported.header else 0
        one["example"] = cells[one["first"]][place][:MAX_EXAMPLE]
    return found


# The key of a cause: the same for the same level, column and code, whatever is decided.
KEY = "substr(md5({level} || E'\\n' || {column} || E'\\n' || {code}), 1, 12)"
_CAUSES = f"""
    SELECT {KEY.format(level="level", column="name", code="code")}, level, name, code, min(text),
        count(*) AS times, min(number)
    FROM (
        SELECT 'error' AS level, number, key AS name, value ->> 'code' AS code, value ->> 'text' AS text
        FROM imports_importrow, jsonb_each(errors)
        WHERE import_id = %(pk)s AND errors IS NOT NULL AND NOT value ? 'left_out'
        UNION ALL
        SELECT 'warning', number, key, value ->> 'code', value ->> 'text'
        FROM imports_importrow, jsonb_each(warnings)
        WHERE import_id = %(pk)s AND warnings IS NOT NULL
        UNION ALL
        SELECT value ->> 'level', number, value ->> 'column', value -> 'problem' ->> 'code',
            value -> 'problem' ->> 'text'
        FROM imports_importrow, jsonb_each(settled)
        WHERE import_id = %(pk)s AND settled IS NOT NULL AND value ? 'problem'
    ) AS found
    GROUP BY level, name, code
    ORDER BY level, times DESC, name LIMIT %(most)s
"""  # nosec B608  # our own words
