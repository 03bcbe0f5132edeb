"""What a person has here, and their workspaces when they go."""

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.urls import reverse

from ingestion import belongings, lifecycle
from ingestion.sources.documents.models import DefaultRetrieval, Document, Membership, Role, Workspace
from ingestion.sources.documents.workspaces import Removal


def register() -> None:
    """Make them known."""
    belongings.register("workspaces", belongings.Belongings(rows=_workspaces, leave=_leave))
    belongings.register("workspace_settings", belongings.Belongings(rows=_defaults))
    belongings.register("documents", belongings.Belongings(rows=_documents))


def _workspaces(user: Any) -> Iterator[belongings.Row]:
    found = Membership.objects.filter(user=user, workspace__removing_at=None)
    return belongings.in_turn(found, "workspace__name", "workspace__description", "role")


def _documents(user: Any) -> Iterator[belongings.Row]:
    found = Document.objects.filter(added_by=user)
    told = ("id", "name", "title", "size", "type", "created_at", "workspace__name")
    for row in belongings.in_turn(found, *told):
        yield row | {"file": reverse("documents:file", args=[row["id"]])}


def _defaults(user: Any) -> Iterator[belongings.Row]:
    found = DefaultRetrieval.objects.filter(user=user)
    return belongings.in_turn(found, "chunk_size", "overlap", "embedder", "top_k")


def _leave(user: Any) -> None:
    """Remove the workspaces of this person alone; of the others somebody becomes the owner."""
    for workspace in Workspace.objects.filter(memberships__user=user, removing_at=None).order_by("pk"):
        with transaction.atomic():
            # Two owners may leave at once: the second looks when the first is no member any more. Who changes
            # roles holds all members too, and then the workspace: the other way round both would wait.
            members = list(workspace.memberships.select_for_update().order_by("pk"))
            if not Workspace.objects.select_for_update().filter(pk=workspace.pk, removing_at=None).exists():
                continue
            others = [one for one in members if one.user_id != user.pk]
            if not others:
                lifecycle.create(Removal.kind, {"workspace": workspace.pk}, owner=None)
                continue
            if all(other.role != Role.OWNER for other in others):
                heir = next((one for one in others if one.role == Role.EDITOR), others[0])
                Membership.objects.filter(pk=heir.pk).update(role=Role.OWNER)
            workspace.memberships.filter(user=user).delete()
