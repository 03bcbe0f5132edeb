"""Where a person is signed in: what each sign-in noted, and ending them."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from config import audit
from realtime.models import Session

NOTED = "signed_in"  # in a session's data: {at, address, browser}
MAX_BROWSER = 300  # characters of what a browser calls itself
MAX_LISTED = 100

# The first that matches: Edge and Opera call themselves Chrome as well, and Chrome calls itself Safari.
_BROWSERS = (
    ("Edge", r"\bEdg(?:e|A|iOS)?/"),
    ("Opera", r"\bOPR/"),
    ("Samsung Internet", r"\bSamsungBrowser/"),
    ("Firefox", r"\b(?:Firefox|FxiOS)/"),
    ("Chrome", r"\b(?:Chrome|CriOS|Chromium|HeadlessChrome)/"),
    ("Safari", r"\bSafari/"),
)
_SYSTEMS = (
    ("Android", r"\bAndroid\b"),
    ("iPhone", r"\biPhone\b"),
    ("iPad", r"\biPad\b"),
    ("Windows", r"\bWindows\b"),
    ("macOS", r"\bMac OS X\b"),
    ("ChromeOS", r"\bCrOS\b"),
    ("Linux", r"\bLinux\b"),
)


@dataclass(frozen=True)
class SignIn:
    """One session of a person. key: what a form names it by; the session's own key is the cookie."""

    key: str
    at: datetime | None
    address: str
    browser: str
    here: bool


def note(request: HttpRequest, user: User, **rest: Any) -> None:
    """Write into a new session when and from where it began. Hears Django's `user_logged_in`."""
    request.session[NOTED] = {
        "at": timezone.now().isoformat(),
        "address": request.META.get("REMOTE_ADDR") or "",
        "browser": request.headers.get("User-Agent", "")[:MAX_BROWSER],
    }


def of(user: User, here: str | None) -> list[SignIn]:
    """Return the sessions that sign a person in, this one first, then the newest.

    here: the key of the session that asks.
    """
    rows = _living(user).order_by("-expire_date")[:MAX_LISTED]
    found = [one for row in rows if (one := _read(row, here, user)) is not None]
    return sorted(found, key=lambda one: (one.here, one.at is not None and one.at.timestamp()), reverse=True)


def end(user: User, key: str) -> bool:
    """End one session of a person, named as `SignIn.key`; open pages of it are told within a second."""
    for row in _living(user):
        if _name(row.session_key) == key:
            with transaction.atomic():
                row.delete()
                audit.write("session.end", f"user:{user.pk}", count=1)
            return True
    return False


def end_others(user: User, here: str | None) -> int:
    """End a person's sessions but this one. Return how many."""
    with transaction.atomic():
        count = int(_living(user).exclude(session_key=here or "").delete()[0])
        if count:
            audit.write("session.end", f"user:{user.pk}", count=count)
    return count


def browser_of(agent: str) -> str:
    """Return a browser's name in words: "Firefox on Linux"."""
    browser = next((name for name, shape in _BROWSERS if re.search(shape, agent)), "")
    system = next((name for name, shape in _SYSTEMS if re.search(shape, agent)), "")
    return " on ".join(filter(None, (browser or "A browser", system)))


def _living(user: User) -> Any:
    return Session.objects.filter(user=user, expire_date__gt=timezone.now())


def _read(row: Session, here: str | None, user: User) -> SignIn | None:
    """Return what a session noted; None for one of an earlier password, which signs nobody in."""
    data = row.get_decoded()
    if data.get(HASH_SESSION_KEY) not in (
        user.get_session_auth_hash(),
        *user.get_session_auth_fallback_hash(),
    ):
        return None
    noted = data.get(NOTED) or {}
    return SignIn(
        key=_name(row.session_key),
        at=datetime.fromisoformat(noted["at"]) if noted else None,
        address=noted.get("address", ""),
        browser=browser_of(noted.get("browser", "")),
        here=row.session_key == here,
    )


def _name(session_key: str) -> str:
    # The key itself is the cookie: a page that showed it would hand out the sign-in.
    return hashlib.sha256(f"account.sign-in {session_key}".encode()).hexdigest()[:32]
