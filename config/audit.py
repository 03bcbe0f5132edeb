"""The audit log: one row an act, in the transaction of the act. Who reads it: staff who may view all jobs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import connection
from django.http import HttpRequest

from config.models import AuditLog
from config.problems import request_id

ACTIONS = {
    "account.delete": "Deleted their account",
    "account.email": "Changed their e-mail",
    "account.export": "Exported their account",
    "account.password": "Changed their password",
    "admin.add": "Added in the admin",
    "admin.change": "Changed in the admin",
    "admin.delete": "Deleted in the admin",
    "backup.restore": "Brought a backup back",
    "broadcast.send": "Told everybody",
    "broadcast.withdraw": "Took back what everybody was told",
    "job.answer": "Answered a job",
    "job.bulk": "Acted on all jobs that match",
    "job.cancel": "Cancelled a job",
    "job.delete": "Deleted a job",
    "job.dismiss": "Dismissed a dead letter",
    "job.retry": "Retried a job",
    "job.undismiss": "Put a dead letter back",
    "pause.begin": "Paused",
    "pause.end": "Resumed",
    "schedule.change": "Made or changed a schedule",
    "schedule.delete": "Deleted a schedule",
    "schedule.pause": "Paused a schedule",
    "schedule.resume": "Resumed a schedule",
    "schedule.run": "Ran a schedule now",
    "session.end": "Signed browsers out",
    "token.create": "Made a token",
    "token.revoke": "Revoked a token",
    "user.create": "Made a user",
    "user.link": "Made a sign-in link",
}
MAX_DETAIL = 300  # characters of one value

_asked: ContextVar[HttpRequest | str | None] = ContextVar("audit.asked", default=None)


@contextmanager
def asked_by(what: HttpRequest | str) -> Iterator[None]:
    """Let everything within be written down as done through a request, or a command of this name."""
    before = _asked.set(what)
    try:
        yield
    finally:
        _asked.reset(before)


def write(action: str, target: str, by: Any = None, **details: Any) -> None:
    """Write down an act, in the transaction that is open.

    action: a key of ACTIONS. target: what it was done to, as streams are named. by: for whom, where nobody is
    signed in: else it is whose request it is. Outside of a request and the command line it is a rule of ours
    that acts: nothing is written, a job's history tells it.
    """
    asked = _asked.get()
    if action not in ACTIONS:
        raise ValueError(f"unknown action {action!r}")
    if asked is None:
        return
    signed_in = getattr(getattr(asked, "user", None), "pk", None)
    AuditLog.objects.create(
        actor=signed_in if signed_in is not None else getattr(by, "pk", None),
        action=action,
        target=target[:200],
        details={name: _short(value) for name, value in details.items()},
        **_place(asked),
    )


def request_in_hand() -> HttpRequest | None:
    """Return the request that is being answered, None for a command or a rule of ours."""
    asked = _asked.get()
    return asked if isinstance(asked, HttpRequest) else None


def prune_within() -> None:
    """Let the transaction that is open delete rows; the trigger refuses any other."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL headway.audit = 'prune'")


def _place(asked: HttpRequest | str) -> dict[str, str]:
    if isinstance(asked, str):
        return {"via": asked[:50]}
    part = next((part for part in ("api", "admin") if asked.path.startswith(f"/{part}/")), "page")
    return {
        "via": part,
        "address": (asked.META.get("REMOTE_ADDR") or "")[:45],
        "request_id": request_id(asked),
    }


def _short(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_short(one) for one in value]
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:MAX_DETAIL]
