"""Who else may see and change what a source keeps: a role for a user by name, from a page and the API."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest

from config.problems import Problem, invalid
from ingestion.errors import NotPossible

UNKNOWN = "There is no user of that name."
SetRole = Callable[[Any, User, str], None]  # what is shared, who, the role; an empty one takes them out


def from_page(request: HttpRequest, shared: Any, set_role: SetRole) -> None:
    """Give the user of a form its role; a message says why that cannot be."""
    who = _user(request.POST.get("user", "").replace("\0", ""))
    if who is None:
        messages.error(request, UNKNOWN)
        return
    try:
        set_role(shared, who, request.POST.get("role", ""))
    except NotPossible as error:
        messages.error(request, error.message)


def from_api(shared: Any, username: str, role: str, set_role: SetRole) -> None:
    """Give a user a role; only a member can be taken out. Raises Problem."""
    if "\0" in username:
        raise Problem("not_found")
    who = _user(username)
    if who is None or (not role and not shared.memberships.filter(user=who).exists()):
        raise Problem("not_found", detail=UNKNOWN)
    try:
        set_role(shared, who, role)
    except NotPossible as error:
        raise invalid("role", error.message) from error


def _user(name: str) -> User | None:
    return User.objects.filter(username=name, is_active=True).first()
