"""The audit log as operators read it: newest first, by who, what and on what."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet

from config.audit import ACTIONS
from config.filters import UrlFilters
from config.models import AuditLog
from config.spreadsheets import BATCH

PAGE = 50
# Of the file for a spreadsheet. A person who is gone has a number alone; the command line has neither.
HEADS = ["At (UTC)", "User", "Name", "What", "On what", "Details", "From", "Address", "Request"]
LARGEST_ID = 2**63 - 1
_JOB = re.compile(r"job:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Filters(UrlFilters):
    """What the page shows. by: a user's name, or the number of one who is gone."""

    known = {"action": ACTIONS}

    action: str = ""
    by: str = ""
    target: str = ""
    before: str = ""


def context(filters: Filters) -> dict[str, Any]:
    """Return what the page shows: two queries, whatever the log holds."""
    shown = list(_found(filters)[: PAGE + 1])
    people = _people(shown)
    return {
        "rows": [_told(row, people) for row in shown[:PAGE]],
        "actions": ACTIONS,
        "filters": filters,
        "first": not filters.before,
        "following": filters.query(before=str(shown[PAGE - 1].pk)) if len(shown) > PAGE else "",
    }


def lines(filters: Filters) -> Iterator[list[list[Any]]]:
    """Yield all that the filters find, newest first, as lines of a file with `HEADS`; some at a time."""
    before, rows = None, _found(filters)
    while True:
        some = list((rows if before is None else rows.filter(pk__lt=before))[:BATCH])
        people = _people(some)
        yield [_line(_told(row, people)) for row in some]
        if len(some) < BATCH:
            return
        before = some[-1].pk


def _found(filters: Filters) -> QuerySet[AuditLog]:
    rows = AuditLog.objects.order_by("-pk")
    if filters.action:
        rows = rows.filter(action=filters.action)
    if filters.by:
        found = User.objects.filter(username=filters.by).values_list("pk", flat=True).first()
        rows = rows.filter(actor=found if found is not None else _number(filters.by))
    if filters.target:
        rows = rows.filter(target=filters.target)
    if before := _number(filters.before):
        rows = rows.filter(pk__lt=before)
    return rows


def _people(rows: list[AuditLog]) -> Mapping[int, User]:
    return User.objects.in_bulk([row.actor for row in rows if row.actor is not None])


def _line(told: Mapping[str, Any]) -> list[Any]:
    row, person = told["row"], told["person"]
    details = "; ".join(f"{name}: {_said(value)}" for name, value in told["details"])
    name = person.get_username() if person else ""
    return [
        row.at,
        row.actor,
        name,
        told["action"],
        row.target,
        details,
        row.via,
        row.address,
        row.request_id,
    ]


def _told(row: AuditLog, people: Mapping[int, User]) -> dict[str, Any]:
    return {
        "row": row,
        "action": ACTIONS.get(row.action, row.action),
        "person": people.get(row.actor or 0),
        "job": row.target[4:] if _JOB.fullmatch(row.target) else "",
        "details": [(name, _said(value)) for name, value in _flat(row) if value not in (None, "", [])],
    }


def _flat(row: AuditLog) -> list[tuple[str, Any]]:
    """Return an act's details; what the admin changed, field by field."""
    flat = [(name, value) for name, value in row.details.items() if name != "changed"]
    for name, moved in (row.details.get("changed") or {}).items():
        if row.action == "admin.change" and isinstance(moved, list):
            moved = f"{_said(moved[0]) or 'nothing'} → {_said(moved[1]) or 'nothing'}"
        flat.append((name, "changed" if moved is None else moved))
    return flat


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    return str(value)


def _number(text: str) -> int:
    """Return a number of the query string; 0 for anything else, which nothing has."""
    return min(int(text), LARGEST_ID) if text.isascii() and text.isdigit() and len(text) < 20 else 0
