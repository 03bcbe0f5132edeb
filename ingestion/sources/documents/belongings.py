"""What a person has here, and their workspaces when they go."""

from collections.abc import Iterator
from typing import Any

from django.db import transaction

from ingestion import belongings, lifecycle
from ingestion.sources.documents.models import Document, Membership, Role, Workspace
from ingestion.sources.documents.workspaces import Removal


def register() -> None:
    """Make them known."""
    belongings.register("workspaces", belongings.Belongings(rows=_workspaces, leave=_leave))
    belongings.register("documents", belongings.Belongings(rows=_documents))


def _workspaces(user: Any) -> Iterator[belongings.Row]:
    found = Membership.objects.filter(user=user, workspace__removing_at=None)
    return belongings.in_turn(found, "workspace__name", "workspace__description", "role")


def _documents(user: Any) -> Iterator[belongings.Row]:
    found = Document.objects.filter(added_by=user)
    return belongings.in_turn(found, "name", "title", "size", "type", "created_at", "workspace__name")


def _leave(user: Any) -> None:
    """Remove the workspaces of this person alone; of the others somebody becomes the owner."""
    for workspace in Workspace.objects.filter(memberships__user=user, removing_at=None).order_by("pk"):
        with transaction.atomic():
            others = list(workspace.memberships.select_for_update().exclude(user=user).order_by("pk"))
            if not others:
                lifecycle.create(Removal.kind, {"workspace": workspace.pk}, owner=None)
            elif all(other.role != Role.OWNER for other in others):
                heir = next((one for one in others if one.role == Role.EDITOR), others[0])
                Membership.objects.filter(pk=heir.pk).update(role=Role.OWNER)
