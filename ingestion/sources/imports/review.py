"""What the page of an import shows: the file, the columns, the problems, the rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from ingestion.access import can_act
from ingestion.models import State
from ingestion.serializers import display
from ingestion.sources.imports.dialect import NAMES
from ingestion.sources.imports.matching import Why
from ingestion.sources.imports.models import Import, ImportRow

ROWS = 25
MAX_COLUMNS = 10  # of the table of rows
MAX_CELL = 80  # characters

# How a column was recognised, in words; nothing for its own name.
WHY: dict[str, str] = {
    Why.CHOSEN: "said by a person",
    Why.SAVED: "as in an earlier file",
    Why.SYNONYM: "another word for it",
    Why.SIMILAR: "the names are alike",
    Why.CONTENT: "its cells look like it",
}
FILTERS = {"errors": "Errors", "warnings": "Warnings", "all": "All"}


@dataclass(frozen=True)
class Cell:
    """A cell as the page shows it; problem: why it is marked."""

    text: str
    problem: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class Line:
    """A row as the page shows it; whole: what is wrong with all of it."""

    number: int
    whole: str
    bad: bool
    cells: list[Cell] = field(default_factory=list)


def rows(imported: Import, which: str) -> QuerySet[ImportRow]:
    """Return the staged rows of a filter, in the file's order."""
    found = imported.rows.order_by("number")
    if which == "errors":
        return found.filter(errors__isnull=False)
    return found.filter(warnings__isnull=False) if which == "warnings" else found


def context(imported: Import, user: Any, which: str, after: int) -> dict[str, Any]:
    """Return all that the template needs."""
    which = which if which in FILTERS else "errors" if imported.rows_bad else "all"
    places = _shown(imported)
    page = list(rows(imported, which).filter(number__gt=after)[: ROWS + 1])
    job = imported.job
    counts = {"errors": imported.rows_bad, "warnings": imported.rows_doubtful, "all": imported.rows_total}
    return {
        "imported": imported,
        "job": job,
        "facts": facts(imported),
        "columns": columns(imported),
        "headers": [imported.header[place] for place in places],
        "lines": [_line(row, imported, places) for row in page[:ROWS]],
        "following": page[ROWS - 1].number if len(page) > ROWS else None,
        "first": after == 0,
        "which": which,
        "filters": [(name, label, counts[name] or 0) for name, label in FILTERS.items()],
        "deciding": job is not None and job.state == State.WAITING and can_act(user, job),
        "happening": _happening(imported),
        "phases": phases(imported),
        "refresh": job is not None and job.finished_at is None,
    }


def facts(imported: Import) -> list[tuple[str, str]]:
    """Return what the file turned out to be."""
    if not imported.facts:
        return []
    found, layout = imported.facts["found"], imported.facts["layout"]
    kind = (
        "Excel workbook"
        if found["kind"] == "workbook"
        else "Text, packed with gzip"
        if found["packed"]
        else "Text"
    )
    lines = [("File", kind)]
    if found["kind"] != "workbook":
        lines += [
            ("Encoding", found["encoding"].upper()),
            ("Separator", NAMES[layout["separator"]].capitalize()),
        ]
    if imported.facts["header_row"] > 1:
        lines.append(("Header", f"row {imported.facts['header_row']}, what is above it was left out"))
    return lines


def columns(imported: Import) -> list[dict[str, Any]]:
    """Return each column of the file with what it was matched to."""
    rules = imported.rules
    matched = {match.header: match for match in imported.matches}
    shown = []
    for header in imported.header:
        match = matched.get(header)
        target = rules.column(match.target) if match else None
        shown.append({"header": header, "target": target, "why": WHY.get(match.why, "") if match else ""})
    return shown


def phases(imported: Import) -> list[tuple[str, str]]:
    """Return (label, status) of Upload, Match columns, Check rows, Review, Import."""
    job = imported.job
    names = ["Upload", "Match columns", "Check rows", "Review", "Import"]
    done = 1 + bool(imported.mapping) + (imported.rows_total is not None)
    if imported.created is not None:
        done = 5
    elif done == 3 and job is not None and job.answer:
        done = 4
    ended = job is None or job.finished_at is not None
    status = "pending" if job is None else display_of(imported)
    return [
        (
            name,
            "complete"
            if place < done
            else status
            if place == done and not (ended and done == 5)
            else "pending",
        )
        for place, name in enumerate(names)
    ]


def display_of(imported: Import) -> str:
    """Return the word that the badge of the import's job shows."""
    return display(imported.job) if imported.job is not None else "complete"


def _happening(imported: Import) -> str:
    job = imported.job
    if imported.created is not None:
        return f"{imported.created + (imported.updated or 0):,} rows are in the register"
    if job is not None and job.finished_at is not None:
        return "Nothing more will be written"
    return "Nothing has been written yet" if job is None or not job.answer else "Being written"


def _shown(imported: Import) -> list[int]:
    """Return the places of the columns to show: identifier, name, those with problems, then the others."""
    headers = imported.header
    marked = [one["column"] for one in imported.problems if one["column"] in headers]
    first = [match.header for match in imported.matches if match.target in ("tax_ident", "name")]
    order: Iterable[str] = dict.fromkeys(
        [*first, *marked, *(match.header for match in imported.matches), *headers]
    )
    chosen = list(order)[:MAX_COLUMNS]
    return sorted(headers.index(name) for name in chosen)


def _line(row: ImportRow, imported: Import, places: list[int]) -> Line:
    errors, warnings = row.errors or {}, row.warnings or {}
    whole = errors.get("", {}).get("text", "")
    cells = []
    for place in places:
        name = imported.header[place]
        text = row.cells[place] if place < len(row.cells) else ""
        shown = text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]}…"
        cells.append(
            Cell(shown, errors.get(name, {}).get("text", ""), warnings.get(name, {}).get("text", ""))
        )
    return Line(row.number, whole, bool(errors), cells)
