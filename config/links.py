"""Sign-in links: signed, used once, over after a day."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core import signing
from django.urls import reverse

SALT = "headway.sign-in-link"


def make(user: User, base: str) -> str:
    """Return a link that signs `user` in once. base: scheme and host."""
    token = signing.dumps([user.pk, _state(user)], salt=SALT)
    return base + reverse("signin_link", args=[token])


def owner(token: str, *, lock: bool = False) -> User | None:
    """Return whose link this is, None when it is forged, over, or used.

    lock: hold the user's row, so that two clicks at once cannot both be the first. Needs a transaction.
    """
    try:
        pk, state = signing.loads(token, salt=SALT, max_age=settings.SIGN_IN_LINK_SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    users: Any = get_user_model().objects
    if lock:
        users = users.select_for_update()
    user: User | None = users.filter(pk=pk, is_active=True).first()
    return user if user is not None and _state(user) == state else None


def _state(user: User) -> str:
    """Return what changes with every sign-in and with a new password: it makes older links void."""
    return f"{user.last_login.isoformat() if user.last_login else ''} {user.get_session_auth_hash()[:16]}"
