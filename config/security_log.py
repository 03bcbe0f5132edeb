"""One line in the log for each sign-in, sign-out, failed try, refusal and file taken: who and from where.

Not what was typed or sent.
"""

from typing import Any

import structlog
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from config import audit

log = structlog.get_logger(__name__)

REFUSALS = {403: "request_forbidden", 429: "request_limited"}
PATH_CHARACTERS = 200


def listen() -> None:
    """Hear Django's signals; again is the same as once."""
    user_logged_in.connect(_signed_in, dispatch_uid="security_log.signed_in")
    user_logged_out.connect(_signed_out, dispatch_uid="security_log.signed_out")
    user_login_failed.connect(_failed, dispatch_uid="security_log.failed")


def _signed_in(request: HttpRequest | None, user: User, **rest: Any) -> None:
    if (
        request is not None and request.META
    ):  # else a session was made by a command or a test, not by a person
        log.info("signed_in", user=user.pk, address=_address(request))


def _signed_out(request: HttpRequest | None, user: User | None, **rest: Any) -> None:
    if user is not None:
        log.info("signed_out", user=user.pk, address=_address(request))


def _failed(request: HttpRequest | None = None, **rest: Any) -> None:
    # Without the name: people type their password there, and a look whether it exists would take time.
    log.warning("signin_failed", address=_address(request))


def wrong_password(user: User) -> None:
    """Write down that somebody who is signed in guessed at their own password: an open page invites it."""
    log.warning("password_wrong", user=user.pk, address=_address(audit.request_in_hand()))


def taken(what: str) -> None:
    """Write down who takes something as a file (SEC69): no row, as reading writes nothing (SEC23)."""
    request = audit.request_in_hand()
    user = _known_user(request) if request is not None else None
    log.info("file_taken", what=what, user=user, address=_address(request))


def refused(request: HttpRequest, response: HttpResponseBase) -> None:
    """Write down who may not do what they asked for, or asked too often; any other answer is no news."""
    if event := REFUSALS.get(response.status_code):
        known = {"user": _known_user(request), "address": _address(request)}
        log.warning(event, method=request.method, path=request.path[:PATH_CHARACTERS], **known)


def _known_user(request: HttpRequest) -> int | None:
    # Who nobody asked for is not looked up for a log.
    if (token := getattr(request, "token", None)) is not None:
        return int(token.user_id)
    pk: int | None = getattr(getattr(request, "_cached_user", None), "pk", None)
    return pk


def _address(request: HttpRequest | None) -> str:
    return request.META.get("REMOTE_ADDR", "") if request is not None else ""
