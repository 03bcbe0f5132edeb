"""Find what only all rows of a file, and the register, together show. Each check is one statement.

A check looks at rows without errors and gives those it finds one, by source column, so doing it twice changes
nothing.
"""

from typing import Any

from django.db import connection, transaction
from psycopg import sql

from ingestion.sources.imports import loading
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.definition import IDENTIFIER, PERIOD, Mode
from ingestion.sources.imports.models import Import

# What is found here. Decisions take it away and look again, so every code of it belongs here.
CODES = ("ends_before", "appears_twice", "period_overlaps", "not_unique", "known_unit", "unknown_unit")

SORTED_MB = 64  # for the numbers of two million rows; more of them are sorted on disk
FEW = 20  # an import of less than this part of the register looks units up by index


def check_together(imported: Import, among: str = "") -> None:
    """Flag rows whose period ends before it begins, whose identifier or unique value is taken, and so on.

    The same identifier is legal again in another period. among: a table of the identifiers whose rows changed
    since the last time; others are left alone, unless the definition compares more than identifiers.
    """
    columns = Columns.of(imported)
    if columns.unique():
        among = ""
    _Check(imported, columns, "valid_to", "ends_before", among).flag(_ENDS_BEFORE)
    dated = any(map(columns.has, PERIOD)) and not columns.given
    code = "period_overlaps" if dated else "appears_twice"
    if among or _any_twice(imported, columns):
        _Check(imported, columns, IDENTIFIER, code, among).flag(_COMES_TWICE, dated=sql.Literal(dated))
    for column in columns.unique():
        check = _Check(imported, columns, column.name, "not_unique")
        value = columns.typed(column.name)
        check.flag(_NOT_UNIQUE, value=value)
        taken = sql.SQL(loading.TAKEN).format(
            column=sql.Identifier(column.name), value=sql.SQL("said.value"), tax_ident=sql.SQL("said.ident")
        )
        check.flag(_TAKEN, register=True, value=value, taken=taken)
    if any(map(columns.has, PERIOD)):
        # Told at a column of the file, whatever the period was said by.
        target = next(filter(columns.is_in_file, PERIOD), IDENTIFIER)
        check = _Check(imported, columns, target, "period_overlaps", among)
        loses = sql.SQL(loading.LOSES).format(starts=sql.SQL("said.starts"), ends=sql.SQL("said.ends"))
        check.flag(_OVERLAPS, register=True, undated=loading.undated(columns), loses=loses)
    _check_mode(imported, columns, among)


def _any_twice(imported: Import, columns: Columns) -> bool:
    """Say whether an identifier comes twice in the file: mostly no, which spares sorting all rows.

    Most files are in the order of their identifiers, and their spans show it. Of others numbers made of the
    identifiers are compared; where two share one by chance, all rows are looked at in vain.
    """
    if not imported.decisions and _is_ascending(imported):
        return False
    query = sql.SQL(
        "SELECT count(DISTINCT hashtextextended({}, 0)) < count(*)"
        " FROM imports_importrow WHERE import_id = {} AND errors IS NULL"
    ).format(columns.value(IDENTIFIER), sql.Literal(imported.pk))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL work_mem = '{SORTED_MB}MB'")
        cursor.execute(query.as_string(cursor.connection))
        return bool(cursor.fetchone()[0])


def _is_ascending(imported: Import) -> bool:
    """Say whether each identifier of the file, as it was staged, is surely above the one before."""
    with connection.cursor() as cursor:
        cursor.execute(_ASCENDING, [imported.pk])
        return bool(cursor.fetchone()[0])


def _check_mode(imported: Import, columns: Columns, among: str) -> None:
    known = loading.known(columns)
    match columns.definition.mode:
        case Mode.INSERT:
            check = _Check(imported, columns, IDENTIFIER, "known_unit", among)
            check.flag(_FITS_NOT, register=True, wrong=known, words=sql.Literal("is in the register already"))
        case Mode.UPDATE:
            check = _Check(imported, columns, IDENTIFIER, "unknown_unit", among)
            wrong = sql.SQL("NOT {}").format(known)
            check.flag(_FITS_NOT, register=True, wrong=wrong, words=sql.Literal("is not in the register"))


class _Check:
    """One thing that can be wrong: its code, and the target column whose source column is told."""

    def __init__(self, imported: Import, columns: Columns, target: str, code: str, among: str = "") -> None:
        self._imported, self._columns, self._target, self._code = imported, columns, target, code
        self._among = among

    def flag(self, found: str, *, register: bool = False, **parts: sql.Composable) -> None:
        """Give the rows that `found` selects as (number, words) this error. register: it reads units."""
        pk = sql.Literal(self._imported.pk)
        starts, ends = loading.period(self._columns)
        shared = {
            "tax_ident": self._columns.value(IDENTIFIER),
            "starts": starts,
            "ends": ends,
            "from_header": sql.Literal(self._columns.header_of("valid_from")),
            "staged": sql.SQL("imports_importrow WHERE import_id = {} AND errors IS NULL{}").format(
                pk, self._restricted()
            ),
        }
        looked_for = sql.SQL(_FOUND).format(sql.SQL(found).format(**shared, **parts))
        query = sql.SQL(_FLAGGED).format(
            pk=pk,
            header=sql.Literal(self._columns.header_of(self._target)),
            code=sql.Literal(self._code),
        )
        with transaction.atomic(), connection.cursor() as cursor:
            if not register or self._is_large(cursor):
                # Statistics know nothing of an import that was staged just now. Taking it for a single row, a
                # nested loop would look for its pairs again at every row.
                cursor.execute("SET LOCAL enable_nestloop = off")
            cursor.execute(looked_for.as_string(cursor.connection))
            if cursor.rowcount:
                # Neither may the file be unpacked again for each row that was found.
                cursor.execute("SET LOCAL enable_nestloop = off")
                cursor.execute(query.as_string(cursor.connection))
            cursor.execute("DROP TABLE flagged")

    def _restricted(self) -> sql.Composable:
        if not self._among:
            return sql.SQL("")
        return sql.SQL(" AND {} IN (SELECT ident FROM {})").format(
            self._columns.value(IDENTIFIER), sql.Identifier(self._among)
        )

    def _is_large(self, cursor: Any) -> bool:
        """Say whether one pass over the register costs less than a look-up for each row."""
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = 'imports_unit'::regclass")
        (units,) = cursor.fetchone()
        return bool(sum(span[4] for span in self._imported.spans) * FEW > units)


_ASCENDING = """
    SELECT coalesce(bool_and(low IS NOT NULL AND (before IS NULL OR before < low)), false)
    FROM (
        SELECT low, lag(high) OVER (ORDER BY first) AS before FROM imports_stagedspan
        WHERE import_id = %s AND low IS DISTINCT FROM ''
    ) AS spans
"""
_FOUND = "CREATE TEMP TABLE flagged ON COMMIT DROP AS {}"
_FLAGGED = """
    INSERT INTO imports_notedrow (import_id, number, cells, fixed, errors, warnings, settled)
    SELECT import_id, number, cells, fixed,
        jsonb_build_object({header}::text, jsonb_build_object('code', {code}::text, 'text', found.words)),
        warnings, settled
    FROM flagged AS found JOIN imports_importrow USING (number)
    WHERE import_id = {pk}
    ON CONFLICT (import_id, number) DO UPDATE SET errors = EXCLUDED.errors
"""
_ENDS_BEFORE = """
    SELECT number, 'is before ' || {from_header}::text AS words FROM {staged} AND {ends} < {starts}
"""
# Days as numbers, so that the furthest end before a row and the row it is in travel together.
_COMES_TWICE = """
    SELECT number, 'also in row ' || to_char(
            CASE WHEN before[1] >= starts THEN before[2] ELSE next_number END, 'FM999,999,999'
        ) || CASE WHEN {dated} THEN ', for a period that overlaps' ELSE '' END AS words
    FROM (
        SELECT number, starts, ends,
            max(ARRAY[ends, number]) OVER (
                PARTITION BY ident ORDER BY starts, number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS before,
            lead(starts) OVER (PARTITION BY ident ORDER BY starts, number) AS next_starts,
            lead(number) OVER (PARTITION BY ident ORDER BY starts, number) AS next_number
        FROM (
            SELECT number, ident,
                CASE starts WHEN '-infinity' THEN -2147483647 ELSE starts - DATE '2000-01-01' END AS starts,
                CASE ends WHEN 'infinity' THEN 2147483647 ELSE ends - DATE '2000-01-01' END AS ends
            FROM (
                SELECT number, {tax_ident} AS ident, {starts} AS starts, {ends} AS ends FROM {staged} OFFSET 0
            ) AS said
        ) AS periods
    ) AS neighbours
    WHERE before[1] >= starts OR next_starts <= ends
"""
_NOT_UNIQUE = """
    SELECT number, 'is not unique, also in row ' || to_char(
            CASE number WHEN first THEN last ELSE first END, 'FM999,999,999'
        ) AS words
    FROM (
        SELECT number, min(number) OVER same AS first, max(number) OVER same AS last,
            min(ident) OVER same AS lowest, max(ident) OVER same AS highest
        FROM (SELECT number, {value} AS value, {tax_ident} AS ident FROM {staged}) AS said
        WHERE value IS NOT NULL AND value::text <> ''
        WINDOW same AS (PARTITION BY value)
    ) AS compared
    WHERE lowest <> highest
"""
_TAKEN = """
    SELECT DISTINCT ON (number) number, 'is not unique, unit ' || unit.tax_ident || ' has it' AS words
    FROM (SELECT number, {value} AS value, {tax_ident} AS ident FROM {staged}) AS said
    JOIN imports_unit AS unit ON {taken}
    ORDER BY number, unit.tax_ident
"""
_OVERLAPS = """
    SELECT DISTINCT ON (number) number,
        'overlaps the period from ' || coalesce(unit.valid_from::text, 'ever') || ' in the register' AS words
    FROM (
        SELECT number, {tax_ident} AS ident, {starts} AS starts, {ends} AS ends
        FROM {staged} AND NOT {undated}
    ) AS said
    JOIN imports_unit AS unit ON unit.tax_ident = said.ident AND {loses}
    ORDER BY number, unit.valid_from
"""
_FITS_NOT = "SELECT number, {words}::text AS words FROM {staged} AND {wrong}"
