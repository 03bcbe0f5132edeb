"""A stand-in for Limitless inside our own process, and the clock of an account that plays with it.

The account begins in the evening of a day, and its time goes ten minutes a second until it has caught up
with ours: so one sees a day that is partial, then complete, within a minute.
"""

import json
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from ingestion.sources.lifelogs.sample import days

ADDRESS = "http://sample.invalid"  # RFC 2606: nobody's; no request leaves the process
ZONE = "UTC"
SERVICE = "limitless"  # as which it answers
SPEED = 600  # of the played clock, until it has caught up
BEGINS = timedelta(hours=-5)  # before midnight
OVER = timedelta(hours=3, minutes=30)  # what of the next day must have passed at least
LIMIT, WITH_CONTENTS = 100, 25  # of the real one

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def first_evening(born: datetime) -> datetime:
    """Return where the clock of an account that was made at `born` begins."""
    midnight = born.astimezone(ZoneInfo(ZONE)).replace(hour=0, minute=0, second=0, microsecond=0)
    if born < midnight + OVER:
        midnight -= timedelta(days=1)
    return midnight + BEGINS


def played(born: datetime, now: datetime) -> datetime:
    """Return what time it is for an account that was made at `born`."""
    return min(now, first_evening(born) + SPEED * (now - born))


def really(born: datetime, at: datetime) -> datetime:
    """Return when it was `at` for an account that was made at `born`."""
    return max(at, born + (at - first_evening(born)) / SPEED)


def application(clock: Callable[[], datetime]) -> Application:
    """Return what answers as Limitless does (WSGI, PEP 3333)."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = {name: values[-1] for name, values in parse_qs(str(environ.get("QUERY_STRING", ""))).items()}
        path = str(environ.get("PATH_INFO", ""))
        found = _one(path, clock()) if path.startswith("/v1/lifelogs/") else _list(path, given, clock())
        body = json.dumps(found or {"error": "Not found"}).encode()
        head = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK" if found else "404 Not Found", head)
        return [body]

    return app


def _list(path: str, given: dict[str, str], now: datetime) -> dict[str, Any] | None:
    if path != "/v1/lifelogs":
        return None
    day, zone = date.fromisoformat(given["date"]), ZoneInfo(given.get("timezone", "UTC"))
    limit = min(int(given.get("limit", "3")), LIMIT)
    start = int(given.get("cursor", "0"))
    known = [one for one in days.of(day, zone) if one.seen_from <= now]
    shown = known[start : start + limit]
    contents = given.get("includeContents") != "false" and len(shown) <= WITH_CONTENTS
    markdown = given.get("includeMarkdown") != "false"
    rows = [days.told(one, now, contents=contents, markdown=markdown) for one in shown]
    following = str(start + limit) if start + limit < len(known) else None
    return {
        "data": {"lifelogs": rows},
        "meta": {"lifelogs": {"nextCursor": following, "count": len(rows)}},
    }


def _one(path: str, now: datetime) -> dict[str, Any] | None:
    source_id = path.rpartition("/")[2]
    try:
        day = datetime.strptime(source_id[6:14], "%Y%m%d").date()  # a date alone
    except ValueError:
        return None
    for one in days.of(day, ZoneInfo(ZONE)):
        if one.source_id == source_id and one.seen_from <= now:
            return {"data": {"lifelog": days.told(one, now, contents=True, markdown=True)}}
    return None
