"""Who may see a workspace and what is in it, and who may act: its members, by their role."""

from typing import Any

from django.db.models import CharField, QuerySet, Value
from django.db.models.functions import Cast, Concat

from ingestion import access
from ingestion.sources.documents.models import Membership, Role, Workspace
from realtime.streams import numbers

KIND = "workspace"


def register() -> None:
    """Let members see the jobs of their workspaces, and editors act on them."""
    access.register(KIND, access.ObjectAccess(names=_names, may_see=_may_see, may_act=_may_act))


def role_of(user: Any, workspace: int) -> str:
    """Return a user's role in a workspace, or an empty text."""
    found = Membership.objects.filter(user=user.pk, workspace=workspace, workspace__removing_at=None)
    return found.values_list("role", flat=True).first() or "" if user.is_active else ""


def owned_by(user: Any) -> QuerySet[Any, Any]:
    """Return the numbers of the workspaces that a user owns."""
    return Membership.objects.filter(user=user.pk, role=Role.OWNER).values("workspace")


def may_edit(role: str) -> bool:
    """Say whether a role may upload, retry and take away documents."""
    return role in (Role.EDITOR, Role.OWNER)


def add(workspace: Workspace, user: Any, role: str) -> None:
    """Make a user a member, or give a member another role."""
    Membership.objects.update_or_create(workspace=workspace, user=user, defaults={"role": role})


def _names(user: Any) -> QuerySet[Any, Any]:
    name = Concat(Value(f"{KIND}:"), Cast("workspace_id", CharField()), output_field=CharField())
    return (
        Membership.objects.filter(user=user, workspace__removing_at=None).annotate(name=name).values("name")
    )


def _may_see(user: Any, key: str) -> bool:
    return any(role_of(user, pk) for pk in numbers([key]))


def _may_act(user: Any, key: str) -> bool:
    return any(may_edit(role_of(user, pk)) for pk in numbers([key]))
