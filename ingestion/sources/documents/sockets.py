"""S3's socket: `/ws/status/` tells `document_status` and `workspace_status` to whom they belong."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

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
from realtime.frames import Ready
from realtime.plain_sockets import JsonObject, OwnFeed, PlainSocket

MOST_WORKSPACES = limits.STREAMS_A_SOCKET - 1  # and the user's own stream
SINCE = "since"
MOST_TOLD = 1000  # documents beside those of one state: so many move at once only by hand


class Statuses(OwnFeed):
    """The room of a user: what they added and made, when it stands elsewhere than before. (S3.30 to S3.33)"""

    def __init__(self, user: Any, groups: dict[str, str]) -> None:
        super().__init__(user, groups)
        self._before: Mapping[str, Any] = {}  # where things stood in the state before this one
        self._since: dict[str, str | None] = {}  # by stream: since when all that moved is in its last state
        self._reached: str | None = None  # that of the state before this one

    def find(self) -> set[str]:
        """Return the streams of the user's workspaces."""
        return {row.stream for row in Workspace.objects.of(self.user).order_by("-pk")[:MOST_WORKSPACES]}

    def stands(self, data: JsonObject) -> dict[str, Any]:
        """Return where the workspace, under "", and its documents stand, and since when it tells all of them.

        That moves too where each document that it tells stands as before: in another step, or there again.
        """
        documents = data.get("documents", {})
        found: dict[str, Any] = {
            pk: (one["status"], one.get("error"), one.get("generation")) for pk, one in documents.items()
        }
        return found | {"": (data["status"], data.get("message")), SINCE: data.get("since")}

    async def tell(self, hub: "hubs.Hub", frame: Ready) -> list[JsonObject] | None:
        """Say what moved, and keep in mind how far back the state before this one spoke."""
        if frame.stream is not None and frame.data is not None and frame.stream != self._own:
            self._before = self._stands.get(frame.stream) or {}
            self._reached = self._since.get(frame.stream)
            self._since[frame.stream] = frame.data.get("since")
        return await super().tell(hub, frame)

    async def news(
        self, hub: "hubs.Hub", stream: str, data: JsonObject, moved: list[str]
    ) -> list[JsonObject]:
        """Say where those stand now that moved and are the user's own."""
        stands = self.stands(data)
        documents = [key for key in stands if key.isdigit()]
        said = {key: stands[key] for key in ["", *documents] if key in moved}
        key = int(stream.partition(":")[2])
        since = datetime.fromisoformat(self._reached) if self._reached else None
        found, ahead = await hub.in_database(_events, self.user, key, said, since)
        if SINCE in moved and stands[SINCE] is not None:  # more may have moved than it tells
            asked = (self.user, key, documents, self._before, since)
            others, told = await hub.in_database(_others, *asked)
            self._stands[stream].update(told)
            found = others + found
        self.forget(stream, ahead)
        return found


SOCKET = PlainSocket(r"/ws/status/?", Statuses)


def _events(
    user: Any, workspace: int, said: Mapping[str, Any], since: datetime | None
) -> tuple[list[JsonObject], list[str]]:
    """Return what is told of those that moved and are the user's own, and which stand elsewhere by now.

    said: where the stream says that they stand. since: what moved before that is no news: it came into the
    stream because another document went. Of those that have gone on a later state speaks: one that was told
    now as it is would be told twice.
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
    for row in _moved(user, workspace, since).filter(pk__in=[pk for pk in said if pk]):
        if _standing(row) == said[str(row.pk)]:
            found.append(_told(row))
        else:
            ahead.append(str(row.pk))
    return found, ahead


def _others(
    user: Any, workspace: int, listed: list[str], before: Mapping[str, Any], since: datetime | None
) -> tuple[list[JsonObject], dict[str, Any]]:
    """Return what is told of those that moved too, and where they stand.

    listed: of these the stream speaks itself. before: where things stood when it spoke last.
    """
    rows = _moved(user, workspace, since).exclude(pk__in=listed)[:MOST_TOLD]
    found = [row for row in rows if before.get(str(row.pk)) != _standing(row)]
    return [_told(row) for row in found], {str(row.pk): _standing(row) for row in found}


def _moved(user: Any, workspace: int, since: datetime | None) -> QuerySet[Document]:
    rows = Document.objects.filter(workspace=workspace, added_by=user).order_by("moved_at", "pk")
    # Others of that very moment stood there already: a state that told of one of them was read after it.
    return rows if since is None else rows.filter(moved_at__gt=since)


def _standing(row: Document) -> tuple[str, str | None, int | None]:
    return row.status, row.error[:STREAM_ERROR] or None, row.generation


def _told(row: Document) -> JsonObject:
    return {
        "type": "document_status",
        "routing_key": DOCUMENT_EVENT,
        **_event(document_message(row)),
    }


def _event(message: JsonObject) -> JsonObject:
    named: JsonObject = {
        name: message[name] for name in ("user_id", "workspace_id", "document_id") if name in message
    }
    return {**named, "message": message}
