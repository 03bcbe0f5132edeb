"""Check rows: a span at a time, column by column over the distinct values; then all rows of a file in SQL.

What is wrong is kept by source column: {column: {"code": .., "text": ..}}; the column "" is the whole row.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from psycopg import sql

from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.definition import Column, Definition
from ingestion.sources.imports.models import Import
from ingestion.sources.imports.records import Bad
from ingestion.sources.imports.values import BLANKS, DOUBTS, Unreadable

Problem = dict[str, str]  # {code, text}

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(slots=True)
class Row:
    """A row as it will be staged. Most have nothing but cells."""

    number: int
    cells: list[str]
    fixed: dict[str, str | None] | None = None
    errors: dict[str, Problem] | None = None
    warnings: dict[str, Problem] | None = None

    def copy_line(self, import_id: int) -> str:
        """Return the row in COPY's text format."""
        rest = "\t".join([_json(self.fixed), _json(self.errors), _json(self.warnings)])
        return f"{import_id}\t{self.number}\t{_json(self.cells)}\t{rest}\n"


@dataclass(frozen=True)
class Verdict:
    """What a text means in a column."""

    fixed: tuple[str | None] | None = None  # the text it is read as, where that differs
    error: Problem | None = None
    warning: Problem | None = None


def check_span(records: Iterable[tuple[int, list[str] | Bad]], columns: Columns) -> list[Row]:
    """Return the rows of a span with what is wrong in each; blank rows are left out."""
    rows: list[Row] = []
    whole: list[Row] = []  # as wide as the header
    width = len(columns.header)
    for number, record in records:
        if isinstance(record, Bad):
            text = f"Row {number:,}: {record.problem}."
            rows.append(Row(number, [record.raw], errors={"": {"code": record.code, "text": text}}))
            continue
        if not "".join(record).strip(BLANKS):
            continue
        if len(record) > width and not "".join(record[width:]).strip(BLANKS):
            del record[width:]
        row = Row(number, record)
        rows.append(row)
        if len(record) == width:
            whole.append(row)
        else:
            text = f"Row {number:,}: expected {width:,} cells, found {len(record):,}."
            row.errors = {"": {"code": "csv_row_width", "text": text}}
    for match in columns.matches:
        _check_column(
            whole, match.index, columns.header[match.index], columns.target(match), columns.definition
        )
    return rows


def _check_column(
    rows: Sequence[Row], index: int, header: str, column: Column, definition: Definition
) -> None:
    texts = [row.cells[index] for row in rows]
    remarkable = {
        text: verdict for text in set(texts) if (verdict := judge(text, column, definition)) is not None
    }
    if not remarkable:
        return
    for row, text in zip(rows, texts, strict=True):
        verdict = remarkable.get(text)
        if verdict is None:
            continue
        if verdict.fixed is not None:
            row.fixed = {**(row.fixed or {}), str(index): verdict.fixed[0]}
        if verdict.error is not None:
            row.errors = {**(row.errors or {}), header: verdict.error}
        if verdict.warning is not None:
            row.warnings = {**(row.warnings or {}), header: verdict.warning}


def judge(text: str, column: Column, definition: Definition) -> Verdict | None:
    """Return what is remarkable about a text, None for most."""
    trimmed = text.strip(BLANKS)
    if definition.is_empty(trimmed):
        nothing: tuple[str | None] | None = (None,) if trimmed else None
        missing = column.required and not column.default
        error = {"code": "is_empty", "text": "is empty"} if missing else None
        return Verdict(nothing, error) if nothing or error else None
    if len(trimmed) > column.longest:
        return Verdict(error={"code": "too_long", "text": f"is longer than {column.longest} characters"})
    if column.type in ("text", "code"):
        return None
    try:
        plain = column.read(trimmed)
    except Unreadable as problem:
        return Verdict(error={"code": problem.code, "text": problem.text})
    if error := _out_of_range(plain, column):
        return Verdict(error=error)
    doubt = DOUBTS[column.type](trimmed) if column.type in DOUBTS else None
    warning = {"code": "doubtful", "text": doubt} if doubt else None
    fixed = (plain,) if plain != trimmed else None
    return Verdict(fixed, None, warning) if fixed or warning else None


def _out_of_range(plain: str, column: Column) -> Problem | None:
    if column.least is not None and float(plain) < column.least:
        return {"code": "out_of_range", "text": f"is less than {column.least:g}"}
    if column.most is not None and float(plain) > column.most:
        return {"code": "out_of_range", "text": f"is more than {column.most:g}"}
    return None


def encode(import_id: int, rows: Sequence[Row]) -> bytes:
    """Return rows as COPY wants them; much smaller than the rows while they wait for their turn."""
    return "".join([row.copy_line(import_id) for row in rows]).encode()


def stage(encoded: bytes) -> None:
    """Write checked rows with COPY, in the current transaction."""
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY imports_importrow (import_id, number, cells, fixed, errors, warnings) FROM STDIN"
        ) as copy,
    ):
        copy.write(encoded)


# What `check_together` may find. Decisions take it away and look again, so every code of it belongs here.
TOGETHER = ("ends_before", "appears_twice", "period_overlaps")


def check_together(imported: Import) -> None:
    """Find what only all rows together show: periods that end before they begin, identifiers that come twice.

    The same identifier is legal again in another period. Doing it twice changes nothing.
    """
    columns = Columns.of(imported)
    if columns.has("valid_from") and columns.has("valid_to"):
        _execute(_ENDS_BEFORE, imported, columns)
    _execute(_COMES_TWICE, imported, columns)


_FLAGGED = """
    UPDATE imports_importrow AS target
    SET errors = jsonb_build_object(
        {header}::text, jsonb_build_object('code', {code}::text, 'text', found.words)
    )
    FROM ({found}) AS found
    WHERE target.import_id = {pk} AND target.number = found.number
"""
_ENDS_BEFORE = """
    SELECT number, 'is before ' || {from_header}::text AS words
    FROM imports_importrow
    WHERE import_id = {pk} AND errors IS NULL AND {valid_to}::date < {valid_from}::date
"""
# Days as numbers, so that the furthest end before a row and the row it is in travel together.
_COMES_TWICE = """
    SELECT number,
        CASE WHEN before[1] >= starts THEN before[2] ELSE next_number END AS other
    FROM (
        SELECT number, starts, ends,
            max(ARRAY[ends, number]) OVER (
                PARTITION BY ident ORDER BY starts, number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS before,
            lead(starts) OVER (PARTITION BY ident ORDER BY starts, number) AS next_starts,
            lead(number) OVER (PARTITION BY ident ORDER BY starts, number) AS next_number
        FROM (
            SELECT number, {tax_ident} AS ident,
                coalesce({valid_from}::date - DATE '2000-01-01', -2147483647) AS starts,
                CASE WHEN coalesce({valid_to}, 'infinity') = 'infinity' THEN 2147483647
                     ELSE {valid_to}::date - DATE '2000-01-01' END AS ends
            FROM imports_importrow WHERE import_id = {pk} AND errors IS NULL
        ) AS periods
    ) AS neighbours
    WHERE before[1] >= starts OR next_starts <= ends
"""


def _execute(found: str, imported: Import, columns: Columns) -> None:
    overlap = columns.has("valid_from") or columns.has("valid_to")
    values = {"pk": sql.Literal(imported.pk), **{name: columns.value(name) for name in _PERIOD}}
    if found is _ENDS_BEFORE:
        inner = sql.SQL(found).format(from_header=sql.Literal(columns.header_of("valid_from")), **values)
        header, code = columns.header_of("valid_to"), "ends_before"
    else:
        words = "also in row %s, for a period that overlaps" if overlap else "also in row %s"
        inner = sql.SQL(
            "SELECT number, format({words}, to_char(other, 'FM999,999,999')) AS words FROM ({pairs}) AS pairs"
        ).format(words=sql.Literal(words), pairs=sql.SQL(found).format(**values))
        header, code = columns.header_of("tax_ident"), "period_overlaps" if overlap else "appears_twice"
    query = sql.SQL(_FLAGGED).format(
        header=sql.Literal(header), code=sql.Literal(code), found=inner, pk=values["pk"]
    )
    with transaction.atomic(), connection.cursor() as cursor:
        # Statistics know nothing of an import that was staged just now. Taking it for a single row, a nested
        # loop would look for the pairs again at every row.
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute(query.as_string(cursor.connection))


_PERIOD = ("tax_ident", "valid_from", "valid_to")


def _json(value: Any) -> str:
    return _encode(value).replace("\\", "\\\\") if value else r"\N"
