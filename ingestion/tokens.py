"""Tokens of programs: made, shown once, found by their hash, used up by time or by hand."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from ingestion.models import ApiToken

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
    row = ApiToken.objects.create(
        user=user, name=name, hash=_hash(token), scopes=wanted, expires_at=expires_at
    )
    return row, token


def find(token: str) -> ApiToken | None:
    """Return the living token's row with its user, or None; note that it was used."""
    if not token or len(token) > MAX_TOKEN:
        return None
    alive = Q(expires_at=None) | Q(expires_at__gt=Now())
    row = (
        ApiToken.objects.select_related("user").filter(alive, hash=_hash(token), user__is_active=True).first()
    )
    if row is not None:
        _note_use(row)
    return row


def of_header(authorization: str) -> str | None:
    """Return the token of an Authorization header, or None when it is not of the Bearer kind."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def revoke(row: ApiToken) -> None:
    """End a token for good."""
    row.delete()


def _note_use(row: ApiToken) -> None:
    long_ago = Q(last_used_at=None) | Q(last_used_at__lt=Now() - USED_EVERY)
    ApiToken.objects.filter(long_ago, pk=row.pk).update(last_used_at=Now())


def _hash(token: str) -> str:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
