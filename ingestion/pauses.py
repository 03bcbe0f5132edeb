"""Pauses: what must not start for a while, set and ended by people."""

from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet

from config import texts
from ingestion import claims, queues
from ingestion.clock import ClockTimestamp, read_clock
from ingestion.models import Pause
from ingestion.source import QUEUES, registry

FORMS = "all, queue:NAME, source:NAME or host:NAME"


def check(scope: str) -> None:
    """Refuse a scope that would stop nothing. Raises ValueError."""
    kind, colon, name = scope.partition(":")
    if scope == "all" or (kind == "host" and name.strip()):
        return
    known = {"queue": QUEUES, "source": tuple(sorted(registry()))}.get(kind)
    if known is None or not colon:
        raise ValueError(f"{scope} cannot be paused. Say {FORMS}.")
    if name not in known:
        raise ValueError(f"No {kind} {name}. Known: {', '.join(known)}.")


def named(scope: str) -> str:
    """Return a scope in words, as the beginning of a sentence."""
    kind, _, name = scope.partition(":")
    if kind == "source":
        known = registry().get(name)
        return known.label if known else name
    return {"all": "Everything", "queue": f"The queue {name}", "host": name}.get(kind, scope)


def begin(scope: str, by: Any, *, length: timedelta | None = None, reason: str = "") -> Pause:
    """Let nothing in a scope start, for a time or until it is ended; what runs goes on. Raises ValueError."""
    check(scope)
    until = None if length is None else read_clock() + length
    values = {"until": until, "reason": texts.refuse(reason or "Paused")[:300], "by": by}
    return Pause.objects.update_or_create(scope=scope, defaults=values)[0]


def end(scope: str) -> bool:
    """End a pause at once. Return False when there was none."""
    ended = bool(current().filter(scope=scope).exists())
    Pause.objects.filter(scope=scope).delete()
    for queue in QUEUES:  # the keeper would do it within a second
        if ended and claims.claimable(queue, 1):
            queues.wake(queue)
    return ended


def current() -> QuerySet[Pause]:
    """Return the pauses that hold now."""
    return Pause.objects.filter(Q(until=None) | Q(until__gt=ClockTimestamp())).order_by("scope")
