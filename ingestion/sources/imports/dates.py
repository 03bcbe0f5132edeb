"""Dates that may be read in two ways, `03/04/2024`: said of the whole column, never of a single cell.

A column in which some day can be no month (`28/04/2024`) is day first without a doubt, unless another of its
dates is one only with the month first (`04/28/2024`). Without such days, or with both, the dates that may be
either are doubtful, those that are dates only with the month first are errors, and a person decides.
"""

from collections.abc import Mapping
from typing import Any

from django.db import connection
from psycopg import sql
from psycopg.types.json import Jsonb

from ingestion.sources.imports import rowtext
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.models import Import
from ingestion.sources.imports.values import BLANKS, DAY_OR_MONTH, MAY_BE_ANOTHER

TYPES = ("date", "end_date")


def settle(imported: Import) -> None:
    """Read the columns day first of which some rows are surely so and none is not; others are in doubt."""
    columns = Columns.of(imported)
    for match in columns.matches:
        if columns.target(match).type not in TYPES:
            continue
        parts = {
            "pk": sql.Literal(imported.pk),
            "column": sql.Literal(match.header),
            "code": sql.Literal(DAY_OR_MONTH),
            "doubt": sql.Literal(Jsonb({"code": DAY_OR_MONTH, "text": MAY_BE_ANOTHER})),
            "cell": sql.SQL("btrim({}, {})").format(rowtext.cell(match.index), sql.Literal(BLANKS)),
        }
        is_marked, some_month_first = _run(_MARKED, parts)
        if is_marked and _run(_DAY_FIRST, parts):
            _run(_DOUBT if some_month_first else _SETTLE, parts)


def month_first(cell: sql.Composable) -> sql.Composable:
    """Return SQL for the ISO form of a marked cell whose month is said first."""
    place = "split_part({cell}, '/', {n})::int"
    year, month, day = (sql.SQL(place).format(cell=cell, n=sql.Literal(n)) for n in (3, 1, 2))
    return sql.SQL("to_char(make_date({}, {}, {}), 'YYYY-MM-DD')").format(year, month, day)


def _run(query: str, parts: Mapping[str, sql.Composable]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(query).format(**parts).as_string(cursor.connection))
        return cursor.fetchone() if cursor.description else None


# Whether a date may be either, and whether one is so only with the month first.
_MARKED = """
    SELECT count(*) > 0, coalesce(bool_or(errors -> {column} ->> 'code' = {code}), false)
    FROM imports_notedrow WHERE import_id = {pk} AND (
        warnings IS NOT NULL AND warnings -> {column} ->> 'code' = {code}
        OR errors IS NOT NULL AND errors -> {column} ->> 'code' = {code}
    )
"""
# The cells of a row that is not as wide as the header are of other columns.
_DAY_FIRST = """
    SELECT 1 FROM imports_importrow
    WHERE import_id = {pk} AND {cell} ~ '^(1[3-9]|2[0-9]|3[01])/(0?[1-9]|1[0-2])/[0-9]{{4}}$'
        AND (errors IS NULL OR NOT errors ? '') LIMIT 1
"""
_SETTLE = """
    UPDATE imports_notedrow SET warnings = nullif(warnings - {column}::text, '{{}}')
    WHERE import_id = {pk} AND warnings IS NOT NULL AND warnings -> {column} ->> 'code' = {code}
"""
# Spans with a day above 12 were read without a doubt: see `checks.without_doubt`.
_DOUBT = """
    INSERT INTO imports_notedrow (import_id, number, cells, fixed, errors, warnings, settled)
    SELECT import_id, number, cells, fixed, errors,
        coalesce(warnings, '{{}}') || jsonb_build_object({column}::text, {doubt}), settled
    FROM imports_importrow
    WHERE import_id = {pk} AND {cell} ~ '^(0?[1-9]|1[0-2])/(0?[1-9]|1[0-2])/[0-9]{{4}}$'
        AND ltrim(split_part({cell}, '/', 1), '0') <> ltrim(split_part({cell}, '/', 2), '0')
        AND (errors IS NULL OR NOT errors ?| ARRAY['', {column}])
    ON CONFLICT (import_id, number) DO UPDATE SET warnings = EXCLUDED.warnings
"""
