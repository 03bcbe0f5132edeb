"""What an import comes to before it is written: how many rows do what, and what is wrong by cause."""

from typing import Any

from django.db import connection
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL
from psycopg import sql

from ingestion.sources.imports import loading
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.models import Import, ImportRow, Unit
from ingestion.sources.imports.rowtext import SEPARATOR
from ingestion.sources.imports.values import BLANKS

MAX_CAUSES = 100
MAX_EXAMPLE = 100  # characters
MAX_VALUES = 20  # of a cause whose column has a code list, to choose codes for


def count(imported: Import) -> None:
    """Write down how many rows there are, how many are bad or doubtful, and how many are of new units."""
    columns = Columns.of(imported)
    known = loading.known(columns) if Unit.objects.exists() else sql.SQL("false")
    query = sql.SQL(
        """
        SELECT total, bad, doubtful, total - bad - known FROM
            (
                SELECT coalesce(sum(total), 0) AS total FROM imports_stagedspan WHERE import_id = {pk}
            ) AS staged,
            (
                SELECT count(errors) AS bad,
                    count(*) FILTER (WHERE errors IS NULL AND warnings IS NOT NULL) AS doubtful
                FROM imports_notedrow WHERE import_id = {pk}
            ) AS noted,
            (
                SELECT count(*) AS known FROM imports_importrow
                WHERE import_id = {pk} AND errors IS NULL AND {known}
            ) AS found
        """
    ).format(pk=sql.Literal(imported.pk), known=known)
    with connection.cursor() as cursor:
        cursor.execute(query.as_string(cursor.connection))
        row: Any = cursor.fetchone()
    names = ("rows_total", "rows_bad", "rows_doubtful", "rows_new")
    found = dict(zip(names, row, strict=True))
    Import.objects.filter(pk=imported.pk).update(**found, problems=causes(imported))


def with_known(
    imported: Import, found: QuerySet[ImportRow], *, only: bool = False
) -> QuerySet[ImportRow, Any]:
    """Tell of each row, as `known`, whether it is about a unit of the register; `only`: keep those."""
    known = loading.known(Columns.of(imported)).as_string(None).replace("%", "%%")
    told = found.annotate(known=RawSQL(known, (), output_field=BooleanField()))  # nosec B611  # quoted
    return told.filter(known=True) if only else told


def causes(imported: Import) -> list[dict[str, Any]]:
    """Return what is wrong by cause, most rows first: {key, level, column, code, text, rows, first, example}.

    What a decision took away counts as before: its cause stays, and the decision can be taken back.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CAUSES, {"pk": imported.pk, "most": MAX_CAUSES})
        names = ("key", "level", "column", "code", "text", "rows", "first")
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    firsts = imported.noted.filter(number__in=[one["first"] for one in found])
    cells = dict(firsts.values_list("number", "cells"))
    for one in found:
        place = imported.header.index(one["column"]) if one["column"] in imported.header else 0
        one["example"] = cells[one["first"]][place][:MAX_EXAMPLE]
        if one["level"] == "error" and _has_codes(imported, one["column"]):
            one["values"] = _values(imported, place, one)
    return found


def _has_codes(imported: Import, header: str) -> bool:
    target = next((match.target for match in imported.matches if match.header == header), "")
    column = imported.rules.column(target)
    return column is not None and bool(column.codes)


def _values(imported: Import, place: int, cause: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the cells of a cause, the most frequent first, with how many rows say so."""
    values: dict[str, Any] = {
        "pk": imported.pk,
        "place": place + 1,
        "blanks": BLANKS,
        "most": MAX_VALUES,
        "cut": SEPARATOR,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT btrim(split_part(cells, %(cut)s, %(place)s), %(blanks)s) AS text, count(*)
            FROM imports_notedrow
            WHERE import_id = %(pk)s AND (
                (errors IS NOT NULL AND errors -> %(column)s ->> 'code' = %(code)s)
                OR (settled IS NOT NULL AND settled ? %(key)s)
            )
            GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(most)s
            """,
            values | {name: cause[name] for name in ("column", "code", "key")},
        )
        return [(text[:MAX_EXAMPLE], times) for text, times in cursor.fetchall()]


# The key of a cause: the same for the same level, column and code, whatever is decided.
KEY = "substr(md5({level} || E'\\n' || {column} || E'\\n' || {code}), 1, 12)"
_CAUSES = f"""
    SELECT {KEY.format(level="level", column="name", code="code")}, level, name, code, min(text),
        count(*) AS times, min(number)
    FROM (
        SELECT 'error' AS level, number, key AS name, value ->> 'code' AS code, value ->> 'text' AS text
        FROM imports_notedrow, jsonb_each(errors)
        WHERE import_id = %(pk)s AND errors IS NOT NULL AND NOT value ? 'left_out'
        UNION ALL
        SELECT 'warning', number, key, value ->> 'code', value ->> 'text'
        FROM imports_notedrow, jsonb_each(warnings)
        WHERE import_id = %(pk)s AND warnings IS NOT NULL
        UNION ALL
        SELECT value ->> 'level', number, value ->> 'column', value -> 'problem' ->> 'code',
            value -> 'problem' ->> 'text'
        FROM imports_notedrow, jsonb_each(settled)
        WHERE import_id = %(pk)s AND settled IS NOT NULL AND value ? 'problem'
    ) AS found
    GROUP BY level, name, code
    ORDER BY level, times DESC, name, code LIMIT %(most)s
"""  # nosec B608  # our own words
