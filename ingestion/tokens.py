"""Tokens of programs: made, shown once, found by their hash, used up by time or by hand."""

import hashlib
import secrets
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from config import audit
from ingestion.models import ApiToken
from realtime import credentials
from realtime.publish import recheck

SCOPES = ("read", "write", "operate")  # operate: act on others' jobs, as far as the user may
DEFAULT_SCOPES = ("read", "write")
PREFIX = "hw_"  # so that scanners of leaked secrets can know ours
USED_EVERY = timedelta(minutes=1)  # a use is written down at most this often
MAX_TOKEN = 200  # characters; ours have 46


def create(
    user: Any, name: str, *, scopes: Iterable[str] = DEFAULT_SCOPES, expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """Make a token. Return its row and the token itself, which is stored nowhere. Raises ValueError."""
    wanted = list(dict.fromkeys(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        raise ValueError(f"Scopes are: {', '.join(SCOPES)}.")
    token = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        row = ApiToken.objects.create(
            user=user, name=name, hash=_hash(token), scopes=wanted, expires_at=expires_at
        )
        audit.write("token.create", f"user:{user.pk}", token=row.pk, scopes=wanted, expires_at=expires_at)
    return row, token


def find(token: str) -> ApiToken | None:
    """Return the living token's row with its user, or None; note that it was used."""
    if not token or len(token) > MAX_TOKEN:
        return None
    row = _alive().filter(hash=_hash(token)).first()
    if row is not None:
        _note_use(row)
    return row


def of_header(authorization: str) -> str | None:
    """Return the token of an Authorization header, or None when it is not of the Bearer kind."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def living(ids: Collection[str]) -> dict[str, Any]:
    """Return, of the tokens with these ids, those that may still read, each with its user."""
    rows = _alive().filter(pk__in=[int(pk) for pk in ids], scopes__contains=["read"])
    return {str(row.pk): row.user for row in rows}


def revoke(rows: Iterable[ApiToken]) -> None:
    """End tokens for good; what is connected with one ends within a second."""
    ended = list(rows)
    with transaction.atomic():
        ApiToken.objects.filter(pk__in=[row.pk for row in ended]).delete()
        for row in ended:
            audit.write("token.revoke", f"user:{row.user_id}", token=row.pk)
    recheck(row.user_id for row in ended)


def register() -> None:
    """Let tokens open live connections."""
    credentials.accept_tokens(credentials.Tokens(find=_of_reader, living=living))


def _of_reader(token: str) -> tuple[str, Any] | None:
    row = find(token)
    return (str(row.pk), row.user) if row is not None and "read" in row.scopes else None


def _alive() -> QuerySet[ApiToken]:
    alive = Q(expires_at=None) | Q(expires_at__gt=Now())
    return ApiToken.objects.select_related("user").filter(alive, user__is_active=True)


def _note_use(row: ApiToken) -> None:
    # Looked at here first: a database that is only read refuses an UPDATE of no row too.
    if row.last_used_at is not None and timezone.now() - row.last_used_at < USED_EVERY:
        return
    long_ago = Q(last_used_at=None) | Q(last_used_at__lt=Now() - USED_EVERY)
    ApiToken.objects.filter(long_ago, pk=row.pk).update(last_used_at=Now())


def _hash(token: str) -> str:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
