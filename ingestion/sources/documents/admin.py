"""Workspaces and documents, for operators: where each stands and why, not what is written there."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from ingestion import lifecycle
from ingestion.admin.base import MAX_ACTED, OperatorAdmin
from ingestion.admission import Refused
from ingestion.sources.documents.models import Document, Workspace
from ingestion.sources.documents.source import Documents


@admin.register(Workspace)
class WorkspaceAdmin(OperatorAdmin):
    """Which workspaces there are, and where they stand."""

    list_display = ("name", "created_by", "status", "status_message", "is_own", "removing_at", "created_at")
    list_filter = ("status", "is_own")
    list_select_related = ("created_by",)
    search_fields = ("=created_by__username", "name__startswith")
    ordering = ("-pk",)
    fields = (*list_display, "indexed", "version")


@admin.register(Document)
class DocumentAdmin(OperatorAdmin):
    """Which documents there are, where they stand, and what went wrong."""

    list_display = (
        "name",
        "workspace",
        "added_by",
        "status",
        "stage",
        "error_code",
        "chunk_count",
        "moved_at",
    )
    list_filter = ("status", "type")
    list_select_related = ("workspace", "added_by")
    search_fields = ("=added_by__username", "=sha256", "name__startswith")
    ordering = ("-pk",)
    fields = (
        *list_display, "error", "type", "size", "sha256", "pages", "characters", "notes", "embedder",
        "chunk_size", "overlap", "generation", "ready_at", "created_at",
    )  # fmt: skip
    actions = ("process_again",)

    @admin.action(description="Process again", permissions=["operate"])
    def process_again(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        """Read these again from their files. The job is nobody's: operators are no members."""
        started = 0
        for document in queryset.order_by("pk")[:MAX_ACTED]:
            try:
                lifecycle.create(Documents.kind, {"document": document.pk}, owner=None)
            except Refused as refused:
                self.message_user(request, refused.message, messages.WARNING)
                continue
            started += 1
        self.message_user(request, f"{started} asked for.")
