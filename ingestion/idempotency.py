"""Idempotency-Key: a request that is sent twice is done once, and answered alike, for 24 hours."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse

from config.http import answer, body_of
from config.problems import Problem
from ingestion.models import IdempotencyKey

HEADER = "Idempotency-Key"
MAX_KEY = 255
KEPT = timedelta(hours=24)
_LOCK_CLASS = 2  # of PostgreSQL's advisory locks; 1 is the claim's


def once(request: HttpRequest, do: Callable[[], tuple[int, dict[str, Any]]]) -> HttpResponse:
    """Answer with what `do` returns, (status, data); with a known key with what it returned then.

    Raises Problem bad_idempotency_key, idempotency_in_progress, idempotency_mismatch.
    """
    key = request.headers.get(HEADER)
    if key is None:
        status, data = do()
        return answer(data, status)
    if not 1 <= len(key) <= MAX_KEY or not all("!" <= one <= "~" for one in key):
        reason = f"1 to {MAX_KEY} printable ASCII characters without spaces"
        raise Problem("bad_idempotency_key", name=HEADER, reason=reason)
    # One transaction holds the work and its answer: a crash leaves neither, so no key stays in progress.
    with transaction.atomic():
        if not _lock(request.user.pk or 0, key):
            raise Problem("idempotency_in_progress", retry_after=1)
        return _known(request, key) or _do(request, key, do)


def _known(request: HttpRequest, key: str) -> HttpResponse | None:
    mine = IdempotencyKey.objects.filter(user=request.user.pk, key=key)
    mine.filter(created_at__lte=Now() - KEPT).delete()
    row = mine.first()
    if row is None:
        return None
    if row.body_hash != _hash(request):
        raise Problem("idempotency_mismatch")
    return answer(row.answer, row.status or 200, {"Idempotency-Replayed": "true"})


def _do(request: HttpRequest, key: str, do: Callable[[], tuple[int, dict[str, Any]]]) -> HttpResponse:
    status, data = do()
    IdempotencyKey.objects.create(
        user_id=request.user.pk or 0, key=key, body_hash=_hash(request), status=status, answer=data
    )
    return answer(data, status)


def _hash(request: HttpRequest) -> str:
    what = f"{request.method} {request.path}\n".encode()
    return hashlib.sha256(what + body_of(request)).hexdigest()


def _lock(user: int, key: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [_LOCK_CLASS, f"{user}:{key}"])
        return bool(cursor.fetchone()[0])
