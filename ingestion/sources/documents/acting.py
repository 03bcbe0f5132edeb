"""What members do with workspaces and documents: the verbs that pages, API and commands share."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from pydantic import ValidationError

from config.problems import field_errors
from ingestion import embedders, lifecycle
from ingestion.admission import Refused
from ingestion.errors import NotPossible
from ingestion.models import OPEN, Job
from ingestion.sources.documents import filing, members, refresh, statuses, workspaces
from ingestion.sources.documents.models import (
    CHUNK_SIZES,
    MAX_TOP_K,
    Document,
    Membership,
    Role,
    Workspace,
    WorkspaceRetrieval,
)
from realtime.publish import recheck

MAKES_STALE = ("chunk_size", "overlap", "embedder")  # settings that documents were made with


def change(workspace: Workspace, values: Mapping[str, Any], by: Any) -> Job | None:
    """Give a workspace another name, description or settings; return the job that makes documents follow.

    values: of name, description, chunk_size, overlap, embedder, top_k those that change.
    Raises NotPossible.
    """
    settings = {**workspace.retrieval.values, **{k: v for k, v in values.items() if k in _SETTINGS}}
    _check(settings, workspace.retrieval.embedder)
    own = {name: values[name] for name in ("name", "description") if name in values}
    _check_names({"name": workspace.name, "description": workspace.description, **own})
    with transaction.atomic():
        if own:
            Workspace.objects.filter(pk=workspace.pk).update(**own)
        WorkspaceRetrieval.objects.filter(workspace=workspace).update(**settings)
        statuses.touch(workspace.pk)
    changed = any(settings[name] != getattr(workspace.retrieval, name) for name in MAKES_STALE)
    if not changed or not refresh.stale([workspace]).exists():
        return None
    return lifecycle.create(refresh.Refresh.kind, {"workspace": workspace.pk}, owner=by).job


_SETTINGS = ("chunk_size", "overlap", "embedder", "top_k")


def _check_names(own: Mapping[str, Any]) -> None:
    """Judge names as when the workspace was made: what breaks a line or turns its direction is refused."""
    if not str(own["name"]).strip():
        raise NotPossible("A workspace needs a name.", "name")
    try:
        workspaces.Params(**own)
    except ValidationError as error:
        first = field_errors(error.errors())[0]
        raise NotPossible(first["message"], first["field"]) from error


def _check(settings: Mapping[str, Any], embedder: str) -> None:
    least, most = CHUNK_SIZES
    if not least <= settings["chunk_size"] <= most:
        raise NotPossible(f"From {least} to {most:,} characters.", "chunk_size")
    if not 0 <= settings["overlap"] * 2 <= settings["chunk_size"]:
        raise NotPossible("At most half a passage.", "overlap")
    if not 1 <= settings["top_k"] <= MAX_TOP_K:
        raise NotPossible(f"From 1 to {MAX_TOP_K}.", "top_k")
    if settings["embedder"] != embedder and settings["embedder"] not in dict(embedders.choices()):
        raise NotPossible("There is no such embedder here.", "embedder")


def set_role(workspace: Workspace, who: Any, role: str) -> None:
    """Make a user a member with a role, or none with an empty one. Raises NotPossible for the last owner."""
    if role and role not in Role.values:
        raise NotPossible("Choose a role.", "role")
    with transaction.atomic():
        list(Membership.objects.select_for_update().filter(workspace=workspace).order_by("pk"))
        others = Membership.objects.filter(workspace=workspace, role=Role.OWNER).exclude(user=who)
        if role != Role.OWNER and not others.exists():
            raise NotPossible("A workspace needs an owner.", "role")
        if role:
            members.add(workspace, who, role)
        else:
            Membership.objects.filter(workspace=workspace, user=who).delete()
            recheck([who.pk])
        statuses.touch(workspace.pk)


def take_away(found: Document, by: Any) -> None:
    """Remove a document with its passages and its file, and cancel what works on it."""
    filing.remove(found)
    if found.job is not None and found.job.state in OPEN:
        try:
            lifecycle.cancel(found.job, by)
        except Refused:
            return  # it has just ended
