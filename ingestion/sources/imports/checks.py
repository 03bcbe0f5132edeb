"""Check rows: a span at a time, column by column over the distinct values. `together` does the rest.

What is wrong is kept by source column: {column: {"code": .., "text": ..}}; the column "" is the whole row.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.definition import Column, Definition
from ingestion.sources.imports.records import Bad
from ingestion.sources.imports.rowtext import SEPARATOR, copy_text
from ingestion.sources.imports.values import BLANKS, DAY_OR_MONTH, DOUBTS, Unreadable, is_day_first

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
        return f"{import_id}\t{self.number}\t{copy_text(self.cells)}\t{rest}\n"


@dataclass(frozen=True)
class Verdict:
    """What a text means in a column."""

    fixed: tuple[str | None] | None = None  # the text it is read as, where that differs
    error: Problem | None = None
    warning: Problem | None = None

    def mark(self, row: Row, place: int, header: str) -> None:
        """Add the verdict about one of its cells to a row."""
        if self.fixed is not None:
            row.fixed = {**(row.fixed or {}), str(place): self.fixed[0]}
        if self.error is not None:
            row.errors = {**(row.errors or {}), header: self.error}
        if self.warning is not None:
            row.warnings = {**(row.warnings or {}), header: self.warning}


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
        said = "".join(record)
        if not said.strip(BLANKS):
            continue
        if SEPARATOR in said:
            rows.append(_with_separator(number, record, columns.header))
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


def _with_separator(number: int, record: list[str], header: Sequence[str]) -> Row:
    """Refuse a row one of whose cells holds what staged rows are cut at; no text of a register does."""
    place = next(place for place, text in enumerate(record) if SEPARATOR in text)
    name = header[place] if place < len(header) else ""
    error = {"code": "bad_character", "text": "contains a character that is not allowed"}
    return Row(number, [text.replace(SEPARATOR, "\ufffd") for text in record], errors={name: error})


def _check_column(
    rows: Sequence[Row], index: int, header: str, column: Column, definition: Definition
) -> None:
    texts = [row.cells[index] for row in rows]
    remarkable = {
        text: verdict for text in set(texts) if (verdict := judge(text, column, definition)) is not None
    }
    if not remarkable:
        return
    remarkable = without_doubt(remarkable)
    for row, text in zip(rows, texts, strict=True):
        verdict = remarkable.get(text)
        if verdict is not None:
            verdict.mark(row, index, header)


def without_doubt(found: dict[str, Verdict]) -> dict[str, Verdict]:
    """Return verdicts about texts of one column, none in doubt where one of them is surely day first.

    A later span may show that the column mixes both: `dates.settle` has the last word.
    """
    odd = {text for text, one in found.items() if (one.warning or {}).get("code") == DAY_OR_MONTH}
    if not odd or not any(map(is_day_first, found)):
        return found
    return {text: replace(one, warning=None) if text in odd else one for text, one in found.items()}


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
        return Verdict((trimmed,)) if trimmed != text else None
    try:
        plain = column.read(trimmed)
    except Unreadable as problem:
        return Verdict(error={"code": problem.code, "text": problem.text})
    if error := _out_of_range(plain, column):
        return Verdict(error=error)
    doubt = DOUBTS[column.type](trimmed) if column.type in DOUBTS else None
    warning = {"code": doubt[0], "text": doubt[1]} if doubt else None
    fixed = (plain,) if plain != text else None
    return Verdict(fixed, None, warning) if fixed or warning else None


def _out_of_range(plain: str, column: Column) -> Problem | None:
    if column.least is not None and float(plain) < column.least:
        return {"code": "out_of_range", "text": f"is less than {column.least:g}"}
    if column.most is not None and float(plain) > column.most:
        return {"code": "out_of_range", "text": f"is more than {column.most:g}"}
    return None


def _json(value: Any) -> str:
    return _encode(value).replace("\\", "\\\\") if value else r"\N"
