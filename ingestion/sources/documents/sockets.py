"""S3's socket: `/ws/status/` tells `document_status` and `workspace_status` to whom they belong."""

from collections.abc import Mapping
from typing import Any

from ingestion.sources.documents.models import Document, Workspace
from ingestion.sources.documents.statuses import (
    DOCUMENT_EVENT,
    WORKSPACE_EVENT,
    document_message,
    workspace_message,
)
from ingestion.sources.documents.streams import STREAM_ERROR
from realtime import hub as hubs
from realtime import limits
from realtime.plain_sockets import JsonObject, OwnFeed, PlainSocket

MOST_WORKSPACES = limits.STREAMS_A_SOCKET - 1  # and the user's own stream


class Statuses(OwnFeed):
    """The room of a user: what they added and made, when it stands elsewhere than before. (S3.30 to S3.33)"""

    def find(self) -> set[str]:
        """Return the streams of the user's workspaces."""
        return {row.stream for row in Workspace.objects.of(self.user).order_by("-pk")[:MOST_WORKSPACES]}

    def stands(self, data: JsonObject) -> dict[str, Any]:
        """Return where the workspace, under "", and its documents stand."""
        documents = data.get("documents", {})
        found: dict[str, Any] = {pk: (one["status"], one.get("error")) for pk, one in documents.items()}
        return found | {"": (data["status"], data.get("message"))}

    async def news(
        self, hub: "hubs.Hub", stream: str, data: JsonObject, moved: list[str]
    ) -> list[JsonObject]:
        """Say where those stand now that moved and are the user's own."""
        said = {key: one for key, one in self.stands(data).items() if key in moved}
        found, ahead = await hub.in_database(_events, self.user, int(stream.partition(":")[2]), said)
        self.forget(stream, ahead)
        return found


SOCKET = PlainSocket(r"/ws/status/?", Statuses)


def _events(user: Any, workspace: int, said: Mapping[str, Any]) -> tuple[list[JsonObject], list[str]]:
    """Return what is told of those that moved and are the user's own, and which stand elsewhere by now.

    said: where the stream says that they stand. Of those that have gone on a later state speaks: one that was
    told now as it is would be told twice.
    """
    found: list[JsonObject] = []
    ahead: list[str] = []
    mine = Workspace.objects.filter(pk=workspace, created_by=user).first() if "" in said else None
    if mine is not None:
        message = workspace_message(mine)
        if (mine.status, message["message"]) == said[""]:
            found.append({"type": "workspace_status", "routing_key": WORKSPACE_EVENT, **_event(message)})
        else:
            ahead.append("")
    rows = Document.objects.filter(workspace=workspace, added_by=user, pk__in=[pk for pk in said if pk])
    for row in rows.order_by("moved_at", "pk"):
        if (row.status, row.error[:STREAM_ERROR] or None) != said[str(row.pk)]:
            ahead.append(str(row.pk))
            continue
        message = document_message(row)
        found.append({"type": "document_status", "routing_key": DOCUMENT_EVENT, **_event(message)})
    return found, ahead


def _event(message: JsonObject) -> JsonObject:
    named: JsonObject = {
        name: message[name] for name in ("user_id", "workspace_id", "document_id") if name in message
    }
    return {**named, "message": message}
