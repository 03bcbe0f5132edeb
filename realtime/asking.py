"""What a request to /api/live asks for."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from config.problems import Problem
from realtime import limits
from realtime.cursors import BadCursor, Places
from realtime.origin import Scope, headers

_JSON = ("application/json", "application/*", "*/*")
_EVENTS = ("text/event-stream", "text/*")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it was understood.

    wait: seconds to wait for news, 0 for an answer at once. resumed: an event stream that was cut off.
    """

    streams: tuple[str, ...]
    places: Places
    wait: float
    events: bool
    resumed: bool = False


def read(scope: Scope) -> Asked:
    """Return what a request asks for. Raises Problem."""
    check(scope)
    streams: list[str] = []
    given: dict[str, str] = {}
    for name, value in _query(scope):
        if name == "stream":
            streams.append(value)
        elif name in ("token", "access_token"):
            raise Problem("token_in_url")
        elif name not in ("cursor", "wait"):
            raise Problem("unknown_filter", name=name[:100])
        elif name in given:
            raise Problem("bad_parameter", name=name, reason="given twice")
        else:
            given[name] = value
    if not 1 <= len(streams) <= limits.STREAMS_A_FRAME:
        reason = f"name 1 to {limits.STREAMS_A_FRAME} streams"
        raise Problem("bad_parameter", name="stream", reason=reason)
    unique = tuple(dict.fromkeys(streams))
    events = wants_events(scope)
    places, resumed = _places(scope, given.get("cursor", ""), events)
    places.only(unique)
    return Asked(
        streams=unique, places=places, wait=_wait(given.get("wait", "0")), events=events, resumed=resumed
    )


def check(scope: Scope) -> None:
    """Refuse a request that is none for us. Raises Problem."""
    if any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    ):
        raise Problem("bad_request", detail="A GET has no body.", headers={"Connection": "close"})
    if not _is_our_host(tuple(headers(scope, b"host"))):
        raise Problem("bad_request")


def _query(scope: Scope) -> list[tuple[str, str]]:
    try:
        text = scope["query_string"].decode("ascii")
        return parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=limits.STREAMS_A_FRAME + 10
        )
    except UnicodeDecodeError as error:
        raise Problem("bad_parameter", name="stream", reason="not UTF-8 text") from error
    except ValueError as error:  # too many fields
        reason = f"name 1 to {limits.STREAMS_A_FRAME} streams"
        raise Problem("bad_parameter", name="stream", reason=reason) from error


def _places(scope: Scope, cursor: str, events: bool) -> tuple[Places, bool]:
    last = headers(scope, b"last-event-id") if events else []
    if last:
        try:
            return Places(last[0]), True
        except BadCursor:
            # A browser sends this by itself, and would give up for good if it were refused.
            return Places(), False
    try:
        return Places(cursor), False
    except BadCursor as error:
        raise Problem("bad_cursor", name="cursor", reason="not a cursor of ours") from error


def _wait(text: str) -> float:
    most = limits.WAIT_SECONDS
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= most):
        raise Problem("bad_parameter", name="wait", reason=f"a whole number of seconds, 0 to {most}")
    return min(float(text), settings.MAX_WAIT_SECONDS)


def wants_events(scope: Scope) -> bool:
    """Say which of our two formats the client likes best; raises Problem for one that takes neither."""
    best: tuple[float, bool] | None = None
    for part in ",".join(headers(scope, b"accept") or ["*/*"]).split(","):
        kind, *parameters = [piece.strip().lower() for piece in part.split(";")]
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        if quality > 0 and kind in (*_JSON, *_EVENTS) and (best is None or quality > best[0]):
            best = quality, kind in _EVENTS
    if best is None:
        raise Problem("not_acceptable")
    return best[1]


@lru_cache(maxsize=64)
def _is_our_host(hosts: tuple[str, ...]) -> bool:
    if len(hosts) != 1:
        return False
    domain, _ = split_domain_port(hosts[0])
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
