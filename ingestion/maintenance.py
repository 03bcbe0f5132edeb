"""Maintenance: pauses that everybody is told of, in the inbox and on every open page."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from config import audit
from ingestion import pauses
from ingestion.models import Pause
from notifications import broadcasts
from notifications.telling import MAX_TEXT


def begin(scope: str, by: Any, *, length: timedelta | None = None, reason: str = "") -> Pause:
    """Pause a scope and tell everybody until when and why, both or neither. Raises ValueError."""
    with transaction.atomic():
        made = pauses.begin(scope, by, length=length, reason=reason)
        audit.write("pause.begin", f"pause:{scope}", by, until=made.until, reason=made.reason)
        tell(made, by)
    return made


def end(scope: str, by: Any) -> bool:
    """End a pause and tell everybody. Return False when there was none."""
    with transaction.atomic():
        ended = pauses.end(scope)
        if ended:
            audit.write("pause.end", f"pause:{scope}", by)
            _tell(scope, "goes on", "What waited starts now.", by)
    return ended


def tell(pause: Pause, by: Any) -> None:
    """Tell everybody of a pause that holds from now on."""
    until = "until further notice"
    if pause.until is not None:
        at = timezone.localtime(pause.until)
        until = f"until {at:%d %b %H:%M} ({timezone.get_current_timezone_name()})"
    text = f"Nothing new starts {until}. What runs goes on, and nothing is lost."
    _tell(pause.scope, "is paused", f"{pause.reason.strip()} {text}", by, level="warning")


def _tell(scope: str, what: str, text: str, by: Any, level: str = "") -> None:
    if scope.startswith("host:"):  # nobody asked for a host; the jobs that wait for it say so
        return
    title, url = f"{pauses.named(scope)} {what}", reverse("ingestion:status")
    broadcasts.broadcast(title, text=text[:MAX_TEXT], url=url, level=level, by=by)
