"""What a person has here, and their workspaces when they go."""

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.urls import reverse

from ingestion import belongings, lifecycle
from ingestion.sources.documents.models import DefaultRetrieval, Document, Membership, Role, Workspace
from ingestion.sources.documents.workspaces import Removal


def register() -> None:
    """Make them known."""
    belongings.register("workspaces", belongings.Belongings(rows=_workspaces, begin=_remove, leave=_leave))
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


def _remove(user: Any) -> None:
    """Remove the workspaces of this person alone; more than fit into the queue go in several turns."""
    others = Membership.objects.filter(workspace=OuterRef("pk")).exclude(user=user)
    for workspace in _of(user).exclude(Exists(others)):
        with transaction.atomic():
            _others(workspace, user)


def _of(user: Any) -> QuerySet[Workspace]:
    return Workspace.objects.filter(memberships__user=user, removing_at=None).order_by("pk")


def _others(workspace: Workspace, user: Any) -> list[Membership]:
    """Return the other members of a workspace, locked; where there are none it is removed. Raises Refused."""
    # Two owners may leave at once: the second looks when the first is no member any more. Who changes
    # roles holds all members too, and then the workspace: the other way round both would wait.
    members = list(workspace.memberships.select_for_update().order_by("pk"))
    if not Workspace.objects.select_for_update().filter(pk=workspace.pk, removing_at=None).exists():
        return []
    others = [one for one in members if one.user_id != user.pk]
    if not others:
        lifecycle.create(Removal.kind, {"workspace": workspace.pk}, owner=None)
    return others


def _leave(user: Any) -> None:
    """See to it that somebody is the owner of the workspaces that others share."""
    for workspace in _of(user):
        with transaction.atomic():
            others = _others(workspace, user)
            if not others:
                continue
            if all(other.role != Role.OWNER for other in others):
                heir = next((one for one in others if one.role == Role.EDITOR), others[0])
                Membership.objects.filter(pk=heir.pk).update(role=Role.OWNER)
            workspace.memberships.filter(user=user).delete()
