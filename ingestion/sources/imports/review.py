"""What the page of an import shows: the file, the columns, the problems, the rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from ingestion.access import visible_jobs
from ingestion.answers import given_to, name_of
from ingestion.models import State
from ingestion.serializers import display
from ingestion.source import get
from ingestion.sources.imports import keeping
from ingestion.sources.imports.columns import ADDED
from ingestion.sources.imports.decisions import LABELS, choices, chosen, column_of, is_begun, may_decide
from ingestion.sources.imports.dialect import NAMES
from ingestion.sources.imports.matching import GUESSES, Why, missing
from ingestion.sources.imports.models import Import, ImportRow
from ingestion.sources.imports.staged import FILTERS, page

ROWS = 25
MAX_COLUMNS = 10  # of the table of rows
MAX_CELL = 80  # characters

# How a column was recognised, in words.
SURE: dict[str, str] = {
    Why.NAME: "its own name",
    Why.CHOSEN: "said by a person",
    Why.SAVED: "as in an earlier file",
    Why.SYNONYM: "another word for it",
    Why.SIMILAR: "the names are alike",
    Why.CONTENT: "its cells look like it",
}
MOST_CODES = 500  # of a code list, offered for a value


@dataclass(frozen=True)
class Typed:
    """What a form said that was refused: a decision about the cause `key`, or {place: target} of columns."""

    key: str = ""
    choice: str = ""
    value: str = ""
    codes: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """A cell as the page shows it; problem: why it is marked."""

    text: str
    problem: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class Line:
    """A row as the page shows it; whole: what is wrong with all of it. does: created, updated, left out."""

    number: int
    whole: str
    does: str
    cells: list[Cell] = field(default_factory=list)


def context(
    imported: Import, user: Any, which: str, after: int, typed: Typed | None = None
) -> dict[str, Any]:
    """Return all that the template needs. typed: what was refused and is shown again."""
    typed = typed or Typed()
    counts = {
        "errors": imported.rows_bad,
        "warnings": imported.rows_doubtful,
        "updates": imported.rows_known,
        "all": imported.rows_total,
    }
    # Once they are loaded the register has all of them.
    offered = [name for name in FILTERS if name != "updates" or imported.created is None]
    picked = which in offered
    which = which if picked else "errors" if imported.rows_bad else "all"
    job, asked = imported.job, kind_asked(imported)
    mine = may_decide(user, imported)
    return {
        "imported": imported,
        "picked": picked,
        "job": job,
        "stream": _stream(imported, user),
        "facts": facts(imported),
        "columns": columns(imported),
        "filters": [(name, FILTERS[name], counts[name] or 0) for name in offered],
        "deciding": asked == "review" and mine,
        "answering": bool(asked) and mine and get("imports").may_answer(job, asked, user),
        "matching": asked == "match" and mine,
        "uploading": asked == "upload" and mine,
        "asked": asked,
        "answered": answered(imported),
        "kept_until": keeping.keeps_until(imported),
        "asked_again": asked == "review" and job is not None and name_of("review", 1) in job.memo,
        "happening": _happening(imported),
        "phases": phases(imported),
        "refresh": job is not None and job.finished_at is None,
        **_table(imported, which, after, counts[which]),
        **(problems(imported, typed) if imported.rows_total is not None else {}),
        **(match_form(imported, typed) if asked == "match" else {}),
    }


def kind_asked(imported: Import) -> str:
    """Return what the import waits to be told: match, review, upload, or nothing."""
    job = imported.job
    return (job.waiting_for or {}).get("kind", "") if job is not None and job.state == State.WAITING else ""


def answered(imported: Import) -> dict[str, Any] | None:
    """Return who said what at the end of a review, also to what this job is a retry of: {word, by, at}."""
    given = given_to(imported.job, "review") if imported.job is not None else None
    if given is None or kind_asked(imported) == "review":
        return None
    user = User.objects.filter(username=given["by"]).first()
    word = {"approve": "Approved", "reject": "Rejected"}.get(given["answer"], "Answered")
    by = (user.get_full_name() if user else "") or given["by"]
    return {"word": word, "by": by, "at": datetime.fromisoformat(given["at"])}


def problems(imported: Import, typed: Typed) -> dict[str, Any]:
    """Return the causes with what can be decided about each, and the codes of those that have a list."""
    shown, lists = [], {}
    begun = kind_asked(imported) == "review" and is_begun(imported)
    for cause in imported.problems:
        decided = imported.decisions.get(cause["key"])
        now = chosen(imported, cause)
        column = column_of(imported, cause["column"])
        if column is not None and column.codes:
            lists[column.name] = list(column.codes.items())[:MOST_CODES]
        value = decided["value"] if decided else None
        offered, picked = [now] if begun else choices(imported, cause), now
        if cause["key"] == typed.key and typed.choice in offered:
            picked, value = typed.choice, typed.codes if typed.choice == "map" else typed.value
        shown.append(
            {
                **cause,
                "choices": [(name, LABELS[name], name == picked) for name in offered],
                "decided": decided,
                "at": datetime.fromisoformat(decided["at"]) if decided else None,
                "before": cause["first"] - 1,
                "now": LABELS[now],
                "value": value if isinstance(value, str) else "",
                "codes": [
                    (text, times, value.get(text, "") if isinstance(value, Mapping) else "")
                    for text, times in cause.get("values", [])
                ],
                "list": column.name if column is not None and column.codes else "",
            }
        )
    return {"problems": shown, "code_lists": lists}


def match_form(imported: Import, typed: Typed) -> dict[str, Any]:
    """Return each column of the file with its samples and what it may be, and what is required but open."""
    rules = imported.rules
    shown = [
        {"place": one.index, "header": one.header, "samples": one.samples}
        | {"target": typed.columns.get(one.index, one.target)}
        | {"why": SURE.get(one.why, ""), "guess": one.why in GUESSES}
        for one in imported.proposed
    ]
    lacks = missing(rules, {str(one["target"]) for one in shown})
    return {"proposals": shown, "targets": rules.columns, "lacks": lacks}


def _table(imported: Import, which: str, after: int, expected: int | None) -> dict[str, Any]:
    if imported.rows_total is None:
        return {"which": which}
    places = _shown(imported)
    # Who looks for what is not there would read all rows.
    found, following = page(imported, which, after, ROWS) if expected or which == "warnings" else ([], None)
    return {
        "which": which,
        "headers": [imported.header[place] for place in places],
        "lines": [_line(row, imported, places) for row in found],
        "following": following,
        "first": after == 0,
    }


def _stream(imported: Import, user: Any) -> str:
    """Return the stream to watch: the job's, or the import's own for who may see no more."""
    job = imported.job
    if job is None:
        return ""
    return job.stream if visible_jobs(user).filter(pk=job.pk).exists() else imported.stream


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
        if header in ADDED:
            continue
        match = matched.get(header)
        target = rules.column(match.target) if match else None
        shown.append(
            {
                "header": header,
                "target": target,
                "why": SURE.get(match.why, "") if match and match.why != Why.NAME else "",
            }
        )
    return shown


def phases(imported: Import) -> list[tuple[str, str]]:
    """Return (label, status) of Upload, Match columns, Check rows, Review, Import."""
    job = imported.job
    names = ["Upload", "Match columns", "Check rows", "Review", "Import"]
    done = 1 + bool(imported.mapping) + (imported.rows_total is not None)
    if imported.created is not None:
        done = 5
    elif done == 3 and job is not None and job.state not in (State.WAITING, State.CANCELLED):
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
    return "Nothing has been written yet" if not answered(imported) else "Being written"


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
        doubt = warnings.get(name, {}).get("text", "")
        problem = errors.get(name, {})
        if problem.get("left_out"):
            problem = {}
        fixed = (row.fixed or {}).get(str(place), text) if name in _settled(row) else text
        if fixed != text:
            doubt = f"will be {fixed}" if fixed else "will be empty"
        cells.append(Cell(shown, problem.get("text", ""), doubt))
    known = getattr(row, "known", False)
    return Line(row.number, whole, "left out" if errors else "updated" if known else "created", cells)


def _settled(row: ImportRow) -> set[str]:
    return {one["column"] for one in (row.settled or {}).values() if "column" in one}
