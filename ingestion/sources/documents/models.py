"""Workspaces with their members, the documents in them, and the passages that a search finds."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, GeneratedField, Q
from django.db.models.functions import Now
from django.urls import reverse

from ingestion.embedders import DEFAULT_EMBEDDER
from ingestion.models import Job
from realtime.streams import Versioned

CHUNK_SIZES = (200, 4000)  # characters: less tells too little, more is cut by encoders
MAX_TOP_K = 50


class DocumentStatus(models.TextChoices):
    """Where a document stands (S3.4)."""

    PENDING = "pending"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class WorkspaceStatus(models.TextChoices):
    """Where a workspace stands (S3.6)."""

    PROVISIONING = "provisioning"
    READY = "ready"
    ERROR = "error"


class Role(models.TextChoices):
    """What a member may do: read and search; upload and retry as well; and all the rest."""

    VIEWER = "viewer"
    EDITOR = "editor"
    OWNER = "owner"


class Retrieval(models.Model):
    """How documents are cut and compared, and how much a search returns."""

    chunk_size = models.PositiveIntegerField(
        default=1000, validators=[MinValueValidator(CHUNK_SIZES[0]), MaxValueValidator(CHUNK_SIZES[1])]
    )
    overlap = models.PositiveIntegerField(default=200)
    embedder = models.CharField(max_length=100, default=DEFAULT_EMBEDDER)
    top_k = models.PositiveIntegerField(
        default=8, validators=[MinValueValidator(1), MaxValueValidator(MAX_TOP_K)]
    )

    class Meta:
        abstract = True

    @property
    def values(self) -> dict[str, Any]:
        """Return the settings alone, to copy them."""
        return {name: getattr(self, name) for name in ("chunk_size", "overlap", "embedder", "top_k")}


def _sane(table: str) -> list[models.BaseConstraint]:
    least, most = CHUNK_SIZES
    return [
        models.CheckConstraint(
            name=f"{table}_chunks_advance",  # an overlap of half a chunk and more would multiply the text
            condition=Q(chunk_size__gte=least, chunk_size__lte=most) & Q(chunk_size__gte=F("overlap") * 2),
        ),
        models.CheckConstraint(name=f"{table}_top_k", condition=Q(top_k__gte=1, top_k__lte=MAX_TOP_K)),
    ]


class DefaultRetrieval(Retrieval):
    """What a user's new workspaces begin with."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints: ClassVar = _sane("default_retrieval")

    def __str__(self) -> str:
        return str(self.user)


class WorkspaceQuerySet(models.QuerySet["Workspace"]):
    def of(self, user: Any) -> "WorkspaceQuerySet":
        """Keep those whose member this user is and that nobody removes."""
        return self.filter(memberships__user=user, removing_at=None) if user.is_active else self.none()


class Workspace(Versioned):
    """A shelf of documents that its members share and search."""

    name = models.CharField(max_length=100)
    description = models.CharField(max_length=500, blank=True, default="")
    status = models.CharField(max_length=12, choices=WorkspaceStatus, default=WorkspaceStatus.PROVISIONING)
    status_message = models.CharField(max_length=300, blank=True, default="")
    # Who made it, and whose "My documents" it is: uploads that name no workspace go there.
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    is_own = models.BooleanField(default=False)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")  # that provisions it
    removing_at = models.DateTimeField(null=True)  # since when a job removes it; nobody sees it any more
    indexed = models.PositiveBigIntegerField(default=0)  # how often what a search finds has changed
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = WorkspaceQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="workspace_one_own",
                fields=["created_by"],
                condition=Q(is_own=True, removing_at=None),
            ),
        ]
        indexes: ClassVar = [
            # S3.44: those that are not ready
            models.Index(name="workspace_by_status", fields=["status"], condition=~Q(status="ready")),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the path of the workspace's page."""
        return reverse("documents:workspace", args=[self.pk])

    @property
    def stream(self) -> str:
        """Return the name of the workspace's stream."""
        return f"workspace:{self.pk}"


class WorkspaceRetrieval(Retrieval):
    """How the documents of a workspace are cut, compared and found."""

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, related_name="retrieval")

    class Meta:
        constraints: ClassVar = _sane("workspace_retrieval")

    def __str__(self) -> str:
        return str(self.workspace)


class Membership(models.Model):
    """A user's place in a workspace."""

    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="memberships", db_index=False
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=6, choices=Role)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="membership_once", fields=["workspace", "user"]),
        ]

    def __str__(self) -> str:
        return f"{self.user} of {self.workspace}"


class Document(models.Model):
    """A file of a workspace: where it stands, what was read of it, which of its chunks are found."""

    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="documents", db_index=False
    )
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")  # the latest
    name = models.CharField(max_length=255)
    path = models.CharField(max_length=300, blank=True, default="")  # in the storage, by content
    size = models.PositiveBigIntegerField()
    type = models.CharField(max_length=100)
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    status = models.CharField(max_length=10, choices=DocumentStatus, default=DocumentStatus.PENDING)
    error = models.CharField(max_length=500, blank=True, default="")  # why it failed, for people
    error_code = models.CharField(max_length=50, blank=True, default="")
    stage = models.CharField(max_length=10, blank=True, default="")  # the step that works on it
    moved_at = models.DateTimeField(db_default=Now(), editable=False)  # when its status was written

    title = models.CharField(max_length=200, blank=True, default="")  # as the file itself says
    pages = models.PositiveIntegerField(null=True)
    characters = models.PositiveIntegerField(null=True)
    chunk_count = models.PositiveIntegerField(null=True)
    notes = models.JSONField(default=list)  # what the reader of the document should know
    embedder = models.CharField(max_length=100, blank=True, default="")  # by which it is found
    chunk_size = models.PositiveIntegerField(null=True)
    overlap = models.PositiveIntegerField(null=True)
    ready_at = models.DateTimeField(null=True)
    generations = models.PositiveIntegerField(default=0)  # given out so far
    generation = models.PositiveIntegerField(null=True)  # whose chunks are found

    class Meta:
        constraints: ClassVar = [
            # and the documents of a workspace
            models.UniqueConstraint(name="document_once_a_workspace", fields=["workspace", "sha256"]),
            models.CheckConstraint(
                name="document_error_iff_failed",
                condition=(Q(status="failed") & ~Q(error="")) | (~Q(status="failed") & Q(error="")),
            ),
            models.CheckConstraint(
                name="document_ready_has_chunks",
                condition=~Q(status="ready") | Q(generation__isnull=False, chunk_count__gt=0),
            ),
        ]
        indexes: ClassVar = [
            # filters and counts of a workspace's page (S3.44)
            models.Index(name="document_by_status", fields=["workspace", "status"]),
            # what the stream of a workspace speaks of
            models.Index(name="document_by_move", fields=["workspace", "-moved_at", "-id"]),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the path of the document's page."""
        return reverse("documents:document", args=[self.pk])


class Chunk(models.Model):
    """A passage of a document, with where it stands. Found only while its generation is the document's."""

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    workspace_id = models.BigIntegerField()  # of the document: a word is looked for in one workspace
    generation = models.PositiveIntegerField()
    ordinal = models.PositiveIntegerField()
    page = models.PositiveIntegerField(null=True)
    heading = models.CharField(max_length=300, blank=True, default="")
    text = models.TextField()
    words = GeneratedField(
        expression=SearchVector("heading", "text", config="english"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="chunk_once", fields=["document", "generation", "ordinal"]),
        ]
        # and the index `chunk_by_terms` of migration 0004, for the search by words

    def __str__(self) -> str:
        return f"{self.document} {self.ordinal}"


class Vector(models.Model):
    """Where a chunk stands among meanings. Where the server has pgvector, in a column of its own.

    Migration 0002 adds `embedding halfvec` there; then `data` stays null.
    """

    chunk = models.OneToOneField(Chunk, on_delete=models.CASCADE, primary_key=True, related_name="vector")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="+")
    workspace_id = models.BigIntegerField()
    generation = models.PositiveIntegerField()
    model = models.CharField(max_length=100)
    dim = models.PositiveSmallIntegerField()
    data = models.BinaryField(null=True)  # float32, in this machine's order

    class Meta:
        indexes: ClassVar = [
            # all vectors of a workspace, for an exact search
            models.Index(name="vector_of_workspace", fields=["workspace_id", "model"]),
        ]

    def __str__(self) -> str:
        return f"{self.model} of {self.chunk_id}"
