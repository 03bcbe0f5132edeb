"""A stand-in for Limitless on loopback, as its specification says, whose days and moods a test sets."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from tests.loopback import Loopback

KEY = "secret-key-of-alice"
WITH_CONTENTS = 25  # above it contents are left out, whatever was asked


@dataclass
class Item:
    """A lifelog as it is now."""

    id: str
    started_at: datetime
    ended_at: datetime
    text: str = "said"
    title: str = ""
    starred: bool = False
    version: int = 0

    @property
    def updated_at(self) -> datetime:
        return self.ended_at + timedelta(seconds=self.version)

    def told(self, zone: ZoneInfo, contents: bool = True, markdown: bool = True) -> dict[str, Any]:
        heading = self.title or f"Item {self.id}"
        quote = {"type": "blockquote", "content": self.text, "speakerName": "Ada", "children": []}
        return {
            "id": self.id,
            "title": heading,
            "markdown": f"# {heading}\n\n- Ada: {self.text}" if markdown else None,
            "contents": [{"type": "heading1", "content": heading, "children": [quote]}] if contents else [],
            "startTime": self.started_at.astimezone(zone).isoformat(),
            "endTime": self.ended_at.astimezone(zone).isoformat(),
            "isStarred": self.starred,
            "updatedAt": self.updated_at.isoformat(),
        }


@dataclass
class Asked:
    """A request that came."""

    at: float
    path: str
    params: dict[str, str]
    key: str


@dataclass
class Answer:
    """An answer instead of the service's own."""

    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


class Lifelogs:
    """What the service has, and how it answers; no server needed."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.keys = {KEY}
        self.asked: list[Asked] = []
        self.mood: Callable[[Asked], Answer | None] = lambda asked: None
        self.before_page: Callable[[Asked], None] = lambda asked: None

    def put(self, id: str, at: str, minutes: int = 5, **more: Any) -> Item:
        """Put an item that begins at a time with its offset, 2026-11-18T09:00+00:00."""
        started = datetime.fromisoformat(at)
        started = started if started.tzinfo else started.replace(tzinfo=UTC)
        self.items[id] = Item(id, started, started + timedelta(minutes=minutes), **more)
        return self.items[id]

    def fill(self, day: date, zone: ZoneInfo, count: int, text: str = "said") -> None:
        """Put items through a day, every 50 minutes or closer."""
        start = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        for n in range(count):
            at = start + timedelta(minutes=n * min(50, 1200 // count))
            self.items[f"{day:%Y%m%d}-{n:03}"] = Item(f"{day:%Y%m%d}-{n:03}", at, at, f"{text} {n}")

    def of_day(self, day: date, zone: ZoneInfo) -> list[Item]:
        """Return what began on a local day, ascending."""
        found = [one for one in self.items.values() if one.started_at.astimezone(zone).date() == day]
        return sorted(found, key=lambda one: (one.started_at, one.id))

    def answer(self, asked: Asked) -> Answer:
        """Answer a request."""
        self.asked.append(asked)
        self.before_page(asked)
        if (moody := self.mood(asked)) is not None:
            return moody
        if asked.key not in self.keys:
            return Answer(401)
        if asked.path != "/v1/lifelogs":
            item = self.items.get(asked.path.rpartition("/")[2])
            body = {"data": {"lifelog": item.told(ZoneInfo("UTC"))}} if item else None
            return Answer(404) if body is None else Answer(200, json.dumps(body).encode())
        return Answer(200, json.dumps(self.page(asked.params)).encode())

    def page(self, params: dict[str, str]) -> dict[str, Any]:
        """Return a page. A cursor is a place in the list: when items go, what follows moves up."""
        zone = ZoneInfo(params.get("timezone", "UTC"))
        if "start" in params:
            raise AssertionError("start takes no offset and overrides the date: never send it")
        found = self.of_day(date.fromisoformat(params["date"]), zone)
        if params.get("direction", "desc") == "desc":
            found.reverse()
        limit = min(int(params.get("limit", "3")), 100)
        place = int(params.get("cursor", "0"))
        shown = found[place : place + limit]
        contents = params.get("includeContents") != "false" and len(shown) <= WITH_CONTENTS
        rows = [one.told(zone, contents, params.get("includeMarkdown") != "false") for one in shown]
        following = str(place + limit) if place + limit < len(found) else None
        return {
            "data": {"lifelogs": rows},
            "meta": {"lifelogs": {"nextCursor": following, "count": len(rows)}},
        }


class Server(Lifelogs, Loopback):
    """The same behind an address."""

    def __init__(self) -> None:
        Lifelogs.__init__(self)
        Loopback.__init__(self, _handler(self))


def _handler(service: Lifelogs) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            params = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            asked = Asked(time.time(), parts.path, params, self.headers.get("X-API-Key", ""))
            answer = service.answer(asked)
            self.send_response(answer.status)
            heads = {"Content-Type": "application/json", "Content-Length": str(len(answer.body))}
            for name, value in {**heads, **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *args: Any) -> None:
            return

    return Handler
