"""What the API of workspaces and documents is asked and answers."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from config.http import DEFAULT_PAGE, Limit, StrictModel
from ingestion.api_requests import PageFilter
from ingestion.sources.documents.search import MAX_QUERY

LARGEST_ID = 2**63 - 1
Status = Literal["pending", "processing", "ready", "failed"]
Format = Literal["pdf", "docx", "html", "text"]


class DocumentFilter(PageFilter):
    """Which documents of a workspace."""

    status: Status | None = None
    name: str = Field("", max_length=150, description="A part of its name")


class PassagesFilter(Schema):
    """What to look for, and where."""

    q: str = Field(min_length=1, max_length=MAX_QUERY, description="Words or a question")
    limit: int | None = Field(None, ge=1, le=50, description="Passages at most; else what the settings say")
    document: list[int] = Field([], max_length=100, description="Only in these; may be given several times")
    format: list[Format] = Field([], description="Only in documents of these formats")
    name: str = Field("", max_length=150, description="Only in documents with this part of a name")


class PassageFilter(Schema):
    """From which passage on."""

    limit: Limit = DEFAULT_PAGE
    after: int = Field(-1, ge=-1, le=2**31 - 1, description="The number of the last one that you have")


class WorkspaceIn(StrictModel):
    """A new workspace."""

    name: str = Field(min_length=1, max_length=100)
    description: str = Field("", max_length=500)


class WorkspaceChange(StrictModel):
    """What to change; documents follow other passages or another embedder in a job."""

    name: str | None = Field(None, min_length=1, max_length=100)
    description: str | None = Field(None, max_length=500)
    chunk_size: int | None = Field(None, ge=0, le=1_000_000)
    overlap: int | None = Field(None, ge=0, le=1_000_000)
    embedder: str | None = Field(None, min_length=1, max_length=100)
    top_k: int | None = Field(None, ge=0, le=1_000_000)


class RoleIn(StrictModel):
    """What a member may do."""

    role: Literal["viewer", "editor", "owner"]


class DocumentCountsOut(Schema):
    """How many documents stand where."""

    pending: int
    processing: int
    ready: int
    failed: int


class SettingsOut(Schema):
    """How documents are cut, compared and found."""

    chunk_size: int
    overlap: int
    embedder: str
    top_k: int


class WorkspaceOut(Schema):
    """A workspace as one of its members sees it."""

    id: int
    name: str
    description: str
    status: Literal["provisioning", "ready", "error"]
    message: str | None
    role: Literal["viewer", "editor", "owner"]
    documents: DocumentCountsOut
    settings: SettingsOut
    job: UUID | None
    created_at: datetime
    stream: str
    url: str


class WorkspacesOut(Schema):
    """Workspaces, the newest first."""

    workspaces: list[WorkspaceOut]
    next: str | None


class JobStartedOut(Schema):
    """The job that does it; created is false when an open one does it already."""

    job: UUID | None
    created: bool


class WorkspaceStartedOut(WorkspaceOut):
    """A new workspace, and the job that prepares it."""

    created: bool


class MemberOut(Schema):
    """A member."""

    user: str
    role: Literal["viewer", "editor", "owner"]


class MembersOut(Schema):
    """The members of a workspace."""

    members: list[MemberOut]


class DocumentOut(Schema):
    """A document, and how far it is."""

    id: int
    workspace: int
    name: str
    type: str
    size: int
    sha256: str
    status: Status
    stage: str | None
    error: str | None
    error_code: str | None
    title: str
    pages: int | None
    characters: int | None
    chunk_count: int | None
    notes: list[str]
    embedder: str | None
    chunk_size: int | None
    overlap: int | None
    added_by: str | None
    created_at: datetime
    ready_at: datetime | None
    job: UUID | None
    url: str


class DocumentsOut(Schema):
    """Documents, the newest first."""

    documents: list[DocumentOut]
    next: str | None


class PassageOut(Schema):
    """A passage of a document."""

    ordinal: int
    page: int | None
    heading: str
    text: str


class PassagesOut(Schema):
    """Passages in their order. `next` is the number to go on after."""

    passages: list[PassageOut]
    next: int | None


class HitOut(PassageOut):
    """A passage that was found; `snippet` is HTML in which the found words are marked."""

    document: int
    name: str
    place: str
    snippet: str
    score: float
    url: str


class PassagesFoundOut(Schema):
    """What was found, and over how many documents it was looked for."""

    query: str
    ready: int
    not_ready: int
    by_words_only: bool
    hits: list[HitOut]
