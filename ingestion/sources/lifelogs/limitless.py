"""Limitless (api.limitless.ai, version 1): how often we ask, how much we take, what each refusal means.

Facts are from its published specification. It has no flag that a day is complete and no feed of changes.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
from django.conf import settings

from ingestion.clock import read_clock
from ingestion.outside import OutsideHost
from ingestion.outside_bodies import BadBody, CutShort, TooSlow, client, unpacked
from ingestion.outside_retries import Paused, Unavailable, asking_again
from ingestion.run import Run
from ingestion.source import SourceError
from ingestion.sources.lifelogs import services
from ingestion.sources.lifelogs.sample import standin
from ingestion.sources.lifelogs.services import KeyRefused, Page, Recording

NAME, LABEL = "limitless", "Limitless"
MOST_PAUSE = 300  # seconds that we keep still when we are told so
ASSUMED_PAUSE = 30  # seconds, when we are told to wait but not how long
TIME_OUT = httpx.Timeout(30.0, connect=10.0)  # seconds without a byte
WHOLE_TIME = 120.0  # seconds for one answer
MOST_BYTES = 32 * 1024 * 1024  # of one page, unpacked
MOST_REFUSAL = 64 * 1024
PAGE = 25  # above it the service leaves contents out, whatever one asks for
LIST = 100  # the most that it lists at once, without contents
MAX_TITLE = 500
MAX_ID = 150


class Missing(SourceError):
    """Limitless has nothing there."""


class Limitless:
    """The service as one job and one key see it. Used as a context manager.

    key: of the account. fingerprint: of the key; all who use the same key share one rate.
    born: of a sample account, since when it is there: the stand-in that comes with us answers.
    """

    def __init__(self, job: Run, key: str, fingerprint: str, born: datetime | None = None) -> None:
        self._born = born
        self._base = settings.LIMITLESS_URL if born is None else standin.ADDRESS
        self._job = job
        self._rate = OutsideHost(f"{NAME}/{fingerprint}", settings.LIMITLESS_PER_MINUTE / 60)
        self.refusal: KeyRefused | None = None
        app = None if born is None else standin.application(self.clock)
        self._http = client(TIME_OUT, {"X-API-Key": key or "sample"}, app)
        self._again = asking_again(job)

    def __enter__(self) -> "Limitless":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def clock(self) -> datetime:
        """Return what time it is; of the sample, what it plays."""
        now = read_clock()
        return now if self._born is None else standin.played(self._born, now)

    def page(self, day: date, zone: ZoneInfo, cursor: str = "") -> Page:
        """Return a page of what began on a local day. Raises SourceError."""
        params = {"timezone": zone.key, "date": day.isoformat(), "direction": "asc", "limit": str(PAGE)}
        params |= {"includeMarkdown": "true", "includeHeadings": "true", "includeContents": "true"}
        if cursor:
            params["cursor"] = cursor
        rows, following = self._lifelogs(params)
        return Page([_recording(row) for row in rows], following)

    def listed(self, day: date, zone: ZoneInfo) -> dict[str, datetime | None] | None:
        """Return by id when each item of a day was last changed; None when they are too many to list."""
        params = {"timezone": zone.key, "date": day.isoformat(), "direction": "asc", "limit": str(LIST)}
        params |= {"includeMarkdown": "false", "includeHeadings": "false", "includeContents": "false"}
        rows, following = self._lifelogs(params)
        return None if following else {one.source_id: one.updated_at for one in map(_recording, rows)}

    def began(self, source_id: str) -> datetime | None:
        """Return when an item began, None when it is there no more. Raises SourceError."""
        try:
            answer = self._again(self._ask, f"/v1/lifelogs/{quote(source_id, safe='')}", {})
            return _recording(answer["data"]["lifelog"]).started_at
        except Missing:
            return None
        except (KeyError, TypeError) as error:
            raise _bad_answer() from error

    def _lifelogs(self, params: Mapping[str, str]) -> tuple[list[Any], str]:
        answer = self._again(self._ask, "/v1/lifelogs", params)
        try:
            rows, following = answer["data"]["lifelogs"], answer["meta"]["lifelogs"].get("nextCursor")
        except (KeyError, TypeError, AttributeError) as error:
            raise _bad_answer() from error
        if not isinstance(rows, list) or not isinstance(following, str | None):
            raise _bad_answer()
        return rows, following or ""

    def _ask(self, path: str, params: Mapping[str, str]) -> Any:
        if self.refusal is not None:
            raise _key_refused()
        if self._born is None:
            self._rate.turn(self._job)
        try:
            with self._http.stream("GET", self._base + path, params=params) as response:
                if response.status_code != 200:
                    raise self._refusal(response)
                body = b"".join(unpacked(response, MOST_BYTES, WHOLE_TIME))
                return _storable(json.loads(body, parse_constant=_no_number))
        except (httpx.TimeoutException, TooSlow) as error:
            raise Unavailable("service_timeout", f"{LABEL} did not answer in time.") from error
        except (httpx.TransportError, CutShort) as error:
            raise Unavailable("service_unreachable", f"{LABEL} cannot be reached.") from error
        except (httpx.HTTPError, BadBody, ValueError, RecursionError) as error:
            raise _bad_answer() from error

    def _refusal(self, response: httpx.Response) -> SourceError:
        """Return what an answer other than 200 means."""
        status = response.status_code
        if status == 401:
            self.refusal = _key_refused()
            return self.refusal
        if status == 404:
            return Missing("service_missing", f"{LABEL} has nothing there.")
        if status == 429:
            seconds = _seconds(response)
            self._rate.pause(seconds, f"{LABEL} asked us to wait {seconds} s")
            return Paused("service_busy", f"{LABEL} asked us to wait, again and again.")
        if status in (408, 425) or status >= 500:
            return Unavailable("service_status", f"{LABEL} answered {status}.")
        return SourceError("service_status", f"{LABEL} answered {status}.")


def _key_refused() -> KeyRefused:
    text = f"{LABEL} does not take your key any more. The account is paused; give it a new key to go on."
    return KeyRefused("key_refused", text)


def _bad_answer() -> SourceError:
    return SourceError("service_bad_answer", f"{LABEL} gave an answer that cannot be read.")


def _seconds(response: httpx.Response) -> int:
    """Return how long we are to wait: the body says it as a text, a header may."""
    texts = [response.headers.get("retry-after", "")]
    try:
        texts.insert(0, str(json.loads(b"".join(unpacked(response, MOST_REFUSAL, WHOLE_TIME)))["retryAfter"]))
    except (BadBody, httpx.HTTPError, ValueError, KeyError, TypeError, RecursionError):
        pass
    for text in texts:
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text.strip(), re.ASCII):
            return max(1, min(int(float(text)) + 1, MOST_PAUSE))
    return ASSUMED_PAUSE


def _recording(row: Any) -> Recording:
    """Return an item as told. Raises SourceError for one that cannot be placed."""
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not 0 < len(row["id"]) <= MAX_ID:
        raise _bad_answer()
    started, ended = _moment(row.get("startTime")), _moment(row.get("endTime"))
    if started is None:
        raise _bad_answer()
    contents = row.get("contents")
    return Recording(
        source_id=row["id"],
        title=_text(row.get("title"))[:MAX_TITLE],
        markdown=_text(row.get("markdown")),
        contents=contents if isinstance(contents, list) else [],
        started_at=started,
        ended_at=max(ended or started, started),
        starred=row.get("isStarred") is True,
        updated_at=_moment(row.get("updatedAt")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON.")  # RFC 8259, section 6; nor can PostgreSQL keep it


def _storable(value: Any) -> Any:
    """Return JSON without what PostgreSQL cannot keep: NUL, and halves of surrogate pairs."""
    text = json.dumps(value, ensure_ascii=False).replace("\\u0000", "\\ufffd")
    # 1e999 has become infinite, which is no JSON either.
    return json.loads(text.encode("utf-8", "replace"), parse_constant=_no_number)


def _moment(value: Any) -> datetime | None:
    """Return a time in UTC; one without an offset is UTC."""
    try:
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


services.register(services.Service(NAME, LABEL, Limitless))
