"""The page of a user's accounts. A key goes in and never comes out."""

from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from config import texts
from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.errors import NotPossible
from ingestion.sources.lifelogs import accounts, services
from ingestion.sources.lifelogs.models import Account
from ingestion.sources.lifelogs.views import LARGEST_ID


@login_required
@require_safe
def accounts_page(request: HttpRequest) -> HttpResponseBase:
    """Show the accounts, and the form of another one."""
    return _page(request)


@sensitive_post_parameters("key")
@login_required
@require_POST
def add(request: HttpRequest) -> HttpResponseBase:
    """Add an account, and begin with its first sync."""
    given = request.POST
    try:
        account = accounts.add(
            request.user,
            given.get("service", ""),
            given.get("key", ""),
            given.get("zone", ""),
            given.get("label", ""),
        )
    except NotPossible as error:
        return _page(request, error, status=422)
    if refused := accounts.begin(account):
        messages.error(request, f"{account.label} is connected. {refused}")
    else:
        messages.success(request, f"{account.label} is connected. Its days arrive now.")
    return redirect("lifelogs:home")


@login_required
@require_POST
def sample(request: HttpRequest) -> HttpResponseBase:
    """Show how it looks with days that we made up."""
    if settings.PRODUCTION:
        raise Http404("There is no sample here.")
    account = accounts.sample_of(request.user)
    try:
        lifecycle.create(accounts.KIND, {"account": account.pk, "mode": "watch"}, owner=request.user)
    except Refused as refused:
        messages.error(request, refused.message)
    return redirect("lifelogs:home")


@sensitive_post_parameters("key")
@login_required
@require_POST
def change(request: HttpRequest, pk: int, verb: str) -> HttpResponseBase:
    """Pause an account, let it go on, give it another key or name, or forget it."""
    account = accounts.find(request.user, pk) if pk <= LARGEST_ID else None
    if account is None or verb not in _VERBS:
        raise Http404("There is no such account.")
    try:
        messages.success(request, _VERBS[verb](account, request.POST))
    except NotPossible as error:
        return _page(request, error, status=422, of=account.pk)
    return redirect("lifelogs:accounts")


def _pause(account: Account, given: Any) -> str:
    accounts.pause(account, "You paused it.")
    return f"{account.label} is paused."


def _resume(account: Account, given: Any) -> str:
    accounts.resume(account)
    return f"{account.label} goes on."


def _key(account: Account, given: Any) -> str:
    accounts.give_key(account, given.get("key", ""))
    return f"{account.label} has its new key and goes on."


def _revoke(account: Account, given: Any) -> str:
    accounts.revoke(account)
    return f"The key of {account.label} is forgotten; its days stay."


def _rename(account: Account, given: Any) -> str:
    accounts.rename(account, given.get("label", ""))
    return "The name is saved."


def _delete(account: Account, given: Any) -> str:
    if given.get("label", "") != account.label:
        raise NotPossible("Write the name of the account to forget it with all its days.", "label")
    accounts.delete(account)
    return "The account and its days are gone."


_VERBS = {
    "pause": _pause,
    "resume": _resume,
    "key": _key,
    "revoke": _revoke,
    "rename": _rename,
    "delete": _delete,
}


def _page(
    request: HttpRequest, error: NotPossible | None = None, status: int = 200, of: int = 0
) -> HttpResponse:
    context = {
        "accounts": [(one, services.get(one.service).label) for one in accounts.of(request.user)],
        "services": services.known(),
        "zones": sorted(available_timezones()),
        "zone": request.POST.get("zone") or timezone.get_current_timezone_name(),
        "label": "" if of else texts.plain(request.POST.get("label", ""), 100),  # else it is another form's
        "error": error,
        "error_of": of,
        "sample_offered": not settings.PRODUCTION,
    }
    return render(request, "lifelogs/accounts.html", context, status=status)
