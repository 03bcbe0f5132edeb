"""What people decide about a file's problems: one decision a cause, for all its rows, until it is approved.

`staged_decisions.py` changes the rows.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from ingestion import lifecycle
from ingestion.access import can_act
from ingestion.admission import not_waiting
from ingestion.clock import read_clock
from ingestion.history import Note
from ingestion.models import ItemState, Job, JobItem, State
from ingestion.source import SourceError
from ingestion.sources.imports import checks, preview, staged_decisions, together
from ingestion.sources.imports.deadline import within
from ingestion.sources.imports.definition import Column
from ingestion.sources.imports.models import Import
from ingestion.sources.imports.staged_decisions import Taken, Texts
from ingestion.sources.imports.values import BLANKS, DAY_OR_MONTH

LABELS = {
    "leave_out": "Leave these rows out",
    "keep": "Import anyway",
    "last": "Keep the last one",
    "empty": "Set the cell empty",
    "value": "Use another value",
    "map": "Use codes for them",
    "day_first": "Read as day/month/year",
    "month_first": "Read as month/day/year",
}
MAX_VALUE = 500  # characters
# What may be said to each question; `approve` of columns takes them as they are proposed.
ANSWERS = {"upload": ("upload",), "match": ("match", "approve"), "review": ("approve",)}
MAX_MAPPED = 100  # values of one cause
SECONDS = 55  # that a decision over millions of rows may take: proxies wait for an answer for 60


def may_decide(user: Any, imported: Import) -> bool:
    """Say whether this user may decide about an import that they see."""
    return imported.job is not None and (can_act(user, imported.job) or user.has_perm("imports.review"))


def is_begun(imported: Import) -> bool:
    """Say whether a part of the rows is loaded: what became of these cannot be decided any more."""
    items = JobItem.objects.filter(job=imported.job_id, step="load", state=ItemState.DONE)
    return imported.job_id is not None and items.exists()


def choices(imported: Import, cause: Mapping[str, Any]) -> list[str]:
    """Return what can be decided about a cause; the first is so as long as nobody has decided."""
    column = column_of(imported, cause["column"])
    found = ["leave_out"] if cause["level"] == "error" else ["keep", "leave_out"]
    if cause["code"] == DAY_OR_MONTH:
        return (
            [*found, "month_first"]
            if cause["level"] == "error"
            else ["day_first", "month_first", "leave_out"]
        )
    if cause["code"] in together.CODES:
        return [*found, "last"] if cause["code"] == "appears_twice" else found
    if column is not None:
        found += ["empty"] if column.default or not column.required else []
        found += ["value", *(["map"] if column.type == "enum" else [])]
    return found


def chosen(imported: Import, cause: Mapping[str, Any]) -> str:
    """Return what is decided about a cause, or what happens without a decision."""
    decided = imported.decisions.get(cause["key"])
    return decided["choice"] if decided else choices(imported, cause)[0]


def decide(imported: Import, key: str, choice: str, value: Any, revision: int | None, by: Any) -> Import:
    """Decide what becomes of the rows of a cause, and count anew.

    value: the text of `value`, or {text: code} of `map`. revision: what its user saw, None: whatever it is.
    Raises Refused when nothing is to be decided any more, SourceError: not_found, changed_meanwhile,
    validation_failed, too_slow.
    """
    with transaction.atomic(), within(SECONDS):
        job = Job.objects.select_for_update().filter(imports=imported).first()
        if job is None:
            raise SourceError("not_found", "There is nothing to decide.")
        if job.state != State.WAITING or (job.waiting_for or {}).get("kind") != "review":
            raise not_waiting(job)
        imported = Import.objects.select_for_update().get(pk=imported.pk)
        check_revision(imported, revision)
        if is_begun(imported):
            text = "A part of this file is loaded already. Approve the rest, or reject it."
            raise SourceError("validation_failed", text)
        cause = next((one for one in imported.problems if one["key"] == key), None)
        if cause is None:
            raise SourceError("not_found", "There is no such problem.")
        if choice not in choices(imported, cause):
            raise SourceError("validation_failed", "This cannot be decided about this problem.")
        taken = [(cause, choice, _texts(imported, cause, choice, value)), *_with_it(imported, cause, choice)]
        said = {"by": by.get_username(), "at": read_clock().isoformat()}
        for one, given, _ in taken:
            kept = value if given in ("value", "map") else None
            imported.decisions[one["key"]] = {"choice": given, "value": kept, **said}
        imported.revision += 1
        imported.save(update_fields=["decisions", "revision"])
        staged_decisions.apply(imported, taken)
        preview.count(imported)
        column = f"{cause['column']} " if cause["column"] else ""
        told = f"{LABELS[choice]}: {column}{cause['text']}, by {by.get_username()}"
        lifecycle.note(job, Note("decided", told, data={"cause": key, "choice": choice}))
    imported.refresh_from_db()
    return imported


def _with_it(imported: Import, cause: Mapping[str, Any], choice: str) -> list[Taken]:
    """Return what else is decided: all dates of a column have the month first, or none of them."""
    if cause["code"] != DAY_OR_MONTH:
        return []
    same = (cause["column"], DAY_OR_MONTH)
    others = [one for one in imported.problems if one is not cause and (one["column"], one["code"]) == same]
    if choice == "month_first":
        return [(one, choice, None) for one in others]
    return [
        (one, choices(imported, one)[0], None) for one in others if chosen(imported, one) == "month_first"
    ]


def check_word(kind: str, answer: str, data: Mapping[str, Any]) -> None:
    """Refuse words that do not answer the question, and rejections without a reason. Raises SourceError."""
    if answer == "reject":
        if not str(data.get("reason") or "").strip():
            raise SourceError("validation_failed", "Say why, so that it can be put right.")
    elif answer not in ANSWERS[kind]:
        raise SourceError("validation_failed", f"Answer {' or '.join([*ANSWERS[kind], 'reject'])}.")


def check_revision(imported: Import, revision: int | None) -> None:
    """Refuse what was said about something else than what stands. Raises SourceError changed_meanwhile."""
    if revision is not None and revision != imported.revision:
        raise SourceError(
            "changed_meanwhile", "This has changed since you opened the page, so nothing was done."
        )


def read_revision(value: Any) -> int:
    """Return a revision as a form, a command or a program writes it; -1, which nothing has, for nonsense."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def column_of(imported: Import, header: str) -> Column | None:
    """Return the target column that a column of the file was matched to, or None."""
    target = next((match.target for match in imported.matches if match.header == header), None)
    return imported.rules.column(target) if target else None


def _texts(imported: Import, cause: Mapping[str, Any], choice: str, value: Any) -> Texts:
    """Return what the cells will say: one text for all, one for each text, or nothing."""
    column = column_of(imported, cause["column"])
    if choice not in ("value", "map") or column is None:
        return None
    if choice == "value":
        return _read(imported, value, column)
    if not isinstance(value, Mapping) or not 0 < len(value) <= MAX_MAPPED:
        raise SourceError("validation_failed", f"Give codes for 1 to {MAX_MAPPED} values.")
    return {str(text).strip(BLANKS): _read(imported, code, column) for text, code in value.items()}


def _read(imported: Import, text: Any, column: Column) -> str | None:
    if not isinstance(text, str) or len(text) > MAX_VALUE or "\0" in text or not text.strip(BLANKS):
        raise SourceError("validation_failed", "Give a value.")
    verdict = checks.judge(text, column, imported.rules)
    if verdict is not None and verdict.error is not None:
        raise SourceError("validation_failed", f'"{text}" {verdict.error["text"]}.')
    return verdict.fixed[0] if verdict is not None and verdict.fixed is not None else text.strip(BLANKS)
