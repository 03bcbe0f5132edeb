"""Problems of the set-up that do not stop a start, as Django system checks; each says what to do.

What no deployment may have is refused by the settings themselves, before anything starts. Checks with an I
tell what will be missing, and fail nothing.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.db import Error as DatabaseError

from config import redis_fitness, sessions

REDIS_SECONDS = 2


@register()
def unknown_settings(**kwargs: Any) -> list[CheckMessage]:
    """Name settings of ours that nobody reads."""
    return [
        Warning(f"{name} is not a setting of Headway.", hint="See docs/settings.md.", id="headway.W001")
        for name in settings.UNKNOWN_SETTINGS
    ]


@register(Tags.database)
def redis_keeps_what_it_is_given(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Ask Redis whether workers will take it. Only where services are asked: `check --database default`."""
    if not databases:
        return []
    try:
        why = redis_fitness.unfit(settings.REDIS_URL, REDIS_SECONDS)
    except (redis.RedisError, OSError) as error:
        hint = "Start it, or correct REDIS_URL. Work goes on without it, later and with late pages."
        return [Error(f"Redis does not answer ({type(error).__name__}).", hint=hint, id="headway.E001")]
    if why is None:
        return []
    hint = "Set maxmemory-policy to noeviction, or no maxmemory at all, and use a version that is new enough."
    return [Error(why, hint=hint, id="headway.E002")]


@register(Tags.database)
def a_connection_is_a_session(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Ask the database whether it answers, and as itself: leases and wake-ups stand on sessions."""
    if not databases:
        return []
    try:
        shared = sessions.shared()
    except DatabaseError as error:
        hint = "Start it, or correct DATABASE_URL. Nothing works without it, and nothing is lost."
        text = f"The database does not answer ({type(error).__name__})."
        return [Error(text, hint=hint, id="headway.E003")]
    hint = "Name PostgreSQL's own port in DATABASE_URL, or have the pooler pool sessions."
    return [Error(sessions.REFUSED, hint=hint, id="headway.E004")] if shared else []


@register(deploy=True)
def files_can_be_stored(**kwargs: Any) -> list[CheckMessage]:
    """Look whether the folder of uploads, or the one it will be made in, may be written to."""
    there = Path(settings.MEDIA_ROOT)
    while not there.exists():
        there = there.parent
    if os.access(there, os.W_OK | os.X_OK):
        return []
    hint = "Give the folder to the user of the processes, or name another: HEADWAY_UPLOAD_DIR."
    return [Error(f"Files cannot be stored in {there}.", hint=hint, id="headway.E005")]


@register(deploy=True)
def what_will_be_missing(**kwargs: Any) -> list[CheckMessage]:
    """Name what a deployment does without, as long as it is not set."""
    found: list[CheckMessage] = []
    if not settings.EMAIL_READY:
        text = "No mail is sent: nobody gets notifications, links or new passwords by mail."
        found.append(Info(text, hint="Set HEADWAY_EMAIL_URL and HEADWAY_EMAIL_FROM.", id="headway.I001"))
    if not settings.TRUSTED_PROXIES:
        text = "No proxy is trusted: behind one, all people come from one address and share its limits."
        hint = "Set HEADWAY_TRUSTED_PROXIES to the proxy's address."
        found.append(Info(text, hint=hint, id="headway.I002"))
    if not settings.SEC_CONTACT:
        text = "The SEC is not told who asks: companies cannot be ingested."
        hint = "Set HEADWAY_SEC_CONTACT to a name and an e-mail address."
        found.append(Info(text, hint=hint, id="headway.I003"))
    return found
