"""What the page of a workspace shows: its documents and their steps, and what a search found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, QuerySet

from config.filters import visible_text
from ingestion import source
from ingestion.models import FINAL, OPEN, Job, State
from ingestion.sources.documents import members, refresh, search
from ingestion.sources.documents.models import Document, DocumentStatus, Role, Workspace
from ingestion.sources.documents.processing import settle
from ingestion.sources.documents.source import Documents
from ingestion.uploads import max_bytes

PAGE = 25
FILTERS = ("processing", "failed", "ready")
FORMATS = (("pdf", "PDF"), ("docx", "Word"), ("html", "HTML"), ("text", "Text and Markdown"))  # of a search
MAX_NAME = 255
_OPEN = (DocumentStatus.PENDING, DocumentStatus.PROCESSING)


@dataclass
class StepShown:
    """One of the four steps of a document: which icon, and what it is called."""

    name: str
    label: str
    status: str

    @property
    def said(self) -> str:
        """Say its state in words."""
        return {"complete": "done", "running": "in progress", "failed": "failed"}.get(self.status, "waiting")


@dataclass
class Shown:
    """A document as a row."""

    document: Document
    steps: list[StepShown]
    what: str = ""  # the badge's words
    is_open: bool = False  # something works on it
    problem: str = ""  # why it could not be processed again; it is found as before


def context(workspace: Workspace, user: Any, given: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page shows to a member. given: the query string."""
    counts = counts_of(workspace)
    chosen = given.get("s", "") if given.get("s", "") in FILTERS else ""
    rows = standing(workspace, chosen).select_related("job", "added_by").order_by("-pk")
    before = given.get("before", "")
    before = before if before.isascii() and before.isdigit() and len(before) < 19 else ""
    if before:
        rows = rows.filter(pk__lt=int(before))
    page = list(rows[: PAGE + 1])
    role = members.role_of(user, workspace.pk)
    query = visible_text(given, "q", search.MAX_QUERY)
    filters = filters_of(given)
    looked_in = {"format": "".join(filters.formats), "name": filters.name}
    asked = {"q": query, **looked_in, "s": chosen, "before": before}
    stale = refresh.stale([workspace]).count() if counts["ready"] else 0
    return {
        "workspace": workspace,
        "role": role,
        "edits": members.may_edit(role),
        "owns": role == Role.OWNER,
        "counts": counts,
        "chosen": chosen,
        "asked": urlencode({name: value for name, value in asked.items() if value}),
        "rows": [shown(one) for one in page[:PAGE]],
        "following": page[PAGE - 1].pk if len(page) > PAGE else None,
        "query": query,
        "found": search.search(workspace, query, filters=filters) if query else None,
        "filters": filters,
        "formats": FORMATS,
        "members": workspace.memberships.count(),
        "stale": stale,
        "most_bytes": max_bytes(source.get(Documents.kind)),
    }


def standing(workspace: Workspace, where: str) -> QuerySet[Document]:
    """Return the documents that stand at one of FILTERS, all of them for anything else."""
    if where not in FILTERS:
        return workspace.documents.all()
    return workspace.documents.filter(status__in=_OPEN if where == "processing" else [where])


def filters_of(given: Mapping[str, str]) -> search.Filters:
    """Return where a search looks, as the query string says; what nobody knows is left out."""
    chosen = given.get("format", "")
    formats = (chosen,) if chosen in search.FORMATS else ()
    return search.Filters(formats=formats, name=visible_text(given, "name", MAX_NAME))


def counts_of(workspace: Workspace) -> dict[str, int]:
    """Count the documents of a workspace, in all and where they stand."""
    rows = workspace.documents.values_list("status").annotate(n=Count("pk"))
    counts = {str(status): n for status, n in rows}
    found = {name: counts.get(name, 0) for name in ("pending", "processing", "failed", "ready")}
    return {
        **found,
        "all": sum(found.values()),
        "open": found["pending"] + found["processing"],
        "other": found["pending"] + found["processing"] + found["failed"],
    }


def shown(document: Document) -> Shown:
    """Return a document as a row; one whose job has ended without a word is told so."""
    if document.status in _OPEN and document.job is not None and document.job.state in FINAL:
        settle(document.job)
        document.refresh_from_db()
    if document.status == DocumentStatus.READY and document.job is not None:
        return _ready(document, document.job)
    names = [step.name for step in Documents.steps]
    at = names.index(document.stage) if document.stage in names else -1
    steps = []
    for n, step in enumerate(Documents.steps):
        status = "complete" if document.status == DocumentStatus.READY or n < at else "pending"
        if document.status == DocumentStatus.PROCESSING and n == at:
            status = "running"
        steps.append(StepShown(step.name, step.label, status))
    if document.status == DocumentStatus.FAILED:
        _mark_failed(document, steps)
    doing = next((step.label for step in steps if step.status == "running"), "")
    return Shown(document, steps, doing, document.status in _OPEN)


def _ready(document: Document, job: Job) -> Shown:
    """Return a document that is found, whatever its latest job does or did: it may process it again."""
    since = document.ready_at is None or document.ready_at < job.created_at  # else this job made it ready
    again = since and job.state in OPEN
    said = {"completed": "complete", "running": "running"} if again else {}
    steps = []
    for step in Documents.steps:
        state = str(job.steps.get(step.name, {}).get("state"))
        steps.append(StepShown(step.name, step.label, said.get(state, "pending" if again else "complete")))
    problem = (job.error or {}).get("text", "") if since and job.state == State.FAILED else ""
    return Shown(document, steps, is_open=again, problem=problem)


def _mark_failed(document: Document, steps: list[StepShown]) -> None:
    """Show in which step it failed, as its job tells."""
    states = document.job.steps if document.job is not None else {}
    for step in steps:
        if states.get(step.name, {}).get("state") != "completed":
            step.status = "failed"
            return
        step.status = "complete"
