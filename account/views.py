"""The page where a person sets their name, password, sessions and tokens."""

from datetime import timedelta
from typing import Any, cast

import structlog
from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST, require_safe
from limits import RateLimitItemPerSecond

from account import sign_ins
from account.forms import (
    EXPIRES,
    AppearanceForm,
    LeavingForm,
    PasswordForm,
    ProfileForm,
    TokenForm,
    zones,
)
from account.models import Appearance, Theme, appearance_of
from config import audit, rates
from config.spreadsheets import streamed
from ingestion import belongings, tokens
from ingestion.admission import Refused
from ingestion.models import ApiToken

log = structlog.get_logger(__name__)

MAX_TOKENS = 50  # of one person
SCOPES = {
    "read": "Read what you may see",
    "write": "Start, answer and change what is yours",
    "operate": "Act on others' jobs, as far as you may",
}
# As many wrong passwords as at sign-in: an open page must not be a way around that limit.
TRIES = RateLimitItemPerSecond(
    settings.SIGN_IN_TRIES_PER_USER, settings.SIGN_IN_SECONDS, namespace="account-password"
)


@login_required
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """Show all of it."""
    return _page(request)


@login_required
@require_POST
@sensitive_post_parameters("current")
def save_profile(request: HttpRequest) -> HttpResponse:
    """Keep name and e-mail."""
    if request.POST.get("current") and (wait := _must_wait(request)):
        return _refused(request, wait)
    # A copy: a form writes into its row even when it refuses, and the page shows who is signed in.
    form = ProfileForm(request.POST, instance=User.objects.get(pk=cast(int, request.user.pk)))
    if not form.is_valid():
        return _page(request, status=422, profile=form)
    with transaction.atomic():
        form.save()
        if "email" in form.changed_data:  # that it changed, not what it was: an account can be deleted
            audit.write("account.email", f"user:{request.user.pk}")
    messages.success(request, "Your profile is saved.")
    return redirect("account:account")


@login_required
@require_POST
def save_appearance(request: HttpRequest) -> HttpResponse:
    """Keep how pages look and behave, on every device."""
    form = AppearanceForm(request.POST)
    if not form.is_valid():
        return _page(request, status=422, looks=form)
    Appearance.objects.bulk_create(  # in one statement: the first time is often clicked twice
        [Appearance(user_id=cast(int, request.user.pk), **form.cleaned_data)],
        update_conflicts=True,
        unique_fields=["user"],
        update_fields=list(form.cleaned_data),
    )
    messages.success(request, "Saved, for all your devices.")
    return redirect("account:account")


@login_required
@require_POST
@sensitive_post_parameters("old", "new")
def change_password(request: HttpRequest) -> HttpResponse:
    """Set a new password. This session stays, every other one ends."""
    user = cast(User, request.user)
    if wait := _must_wait(request):
        return _refused(request, wait)
    form = PasswordForm(user, request.POST)
    if not form.is_valid():
        return _page(request, status=422, password=form)
    user.set_password(form.cleaned_data["new"])
    with transaction.atomic():  # between the two, this person's own pages would be told that they are out
        user.save(update_fields=["password"])
        audit.write("account.password", f"user:{user.pk}")
        auth.update_session_auth_hash(request, user)
        request.session.save()
        ended = sign_ins.end_others(user, request.session.session_key)
    log.info("password_changed", user=user.pk, sessions_ended=ended)
    messages.success(
        request,
        "Your password is changed. Everywhere else you are signed out. Your tokens still work: revoke those"
        " that you do not know.",
    )
    return redirect("account:account")


@login_required
@require_POST
def end_session(request: HttpRequest) -> HttpResponse:
    """Sign out one other browser."""
    if sign_ins.end(cast(User, request.user), request.POST.get("key", "")):
        messages.success(request, "That browser is signed out.")
    else:
        messages.info(request, "That browser was signed out already.")
    return redirect("account:account")


@login_required
@require_POST
def end_others(request: HttpRequest) -> HttpResponse:
    """Sign out every other browser."""
    count = sign_ins.end_others(cast(User, request.user), request.session.session_key)
    done = {0: "You are signed in nowhere else.", 1: "1 other browser is signed out."}
    messages.success(request, done.get(count, f"{count} other browsers are signed out."))
    return redirect("account:account")


@login_required
@require_POST
@sensitive_post_parameters("current")
@sensitive_variables("token")
def make_token(request: HttpRequest) -> HttpResponse:
    """Make a token; this one answer shows it."""
    user = cast(User, request.user)
    if request.POST.get("current") and (wait := _must_wait(request)):
        return _refused(request, wait)
    form = TokenForm(request.POST, user=user)
    if form.is_valid() and user.tokens.count() >= MAX_TOKENS:
        form.add_error("name", f"You have {MAX_TOKENS} tokens, which is the limit. Revoke one first.")
    if not form.is_valid():
        return _page(request, status=422, token_form=form)
    days = form.cleaned_data["days"]
    _, token = tokens.create(
        user,
        form.cleaned_data["name"],
        scopes=form.cleaned_data["scopes"],
        expires_at=timezone.now() + timedelta(days=int(days)) if days else None,
    )
    return _page(request, token=token)


@login_required
@require_POST
def revoke_token(request: HttpRequest) -> HttpResponse:
    """End one token of one's own for good."""
    pk = request.POST.get("id", "")
    found = ApiToken.objects.filter(
        user=cast(User, request.user), pk=int(pk) if pk.isdecimal() and len(pk) < 19 else 0
    )
    tokens.revoke(found)
    messages.success(request, "The token is revoked. Programs that use it are turned away at once.")
    return redirect("account:account")


@login_required
@require_POST
def export(request: HttpRequest) -> HttpResponseBase:
    """Give a person everything that belongs to them, as one JSON file."""
    user = cast(User, request.user)
    audit.write("account.export", f"user:{user.pk}")
    about = {
        "username": user.get_username(),
        "name": user.get_full_name(),
        "email": user.email,
        **{name: getattr(appearance_of(user), name) for name in ("zone", "theme", "single_keys")},
        "since": user.date_joined,
        "last_sign_in": user.last_login,
        "signed_in": [
            {"at": one.at, "address": one.address, "browser": one.browser}
            for one in sign_ins.of(user, request.session.session_key)
        ],
    }
    return streamed(belongings.parts(user, about), f"headway-{user.get_username()}.json", "application/json")


@login_required
@require_POST
@sensitive_post_parameters("current")
def delete(request: HttpRequest) -> HttpResponse:
    """Delete the account of who asks: their jobs end, their pages close, the audit log keeps a number."""
    user = User.objects.get(pk=cast(int, request.user.pk))
    if wait := _must_wait(request):
        return _refused(request, wait)
    form = LeavingForm(user, request.POST)
    if not form.is_valid():
        return _page(request, status=422, leaving=form)
    try:
        belongings.leave(user)
    except Refused as refused:  # a full queue takes no job that removes a workspace; once more goes on here
        form.add_error(None, refused.message)
        return _page(request, status=429, leaving=form)
    with transaction.atomic():
        audit.write("account.delete", f"user:{user.pk}", user)
        log.info("account_deleted", user=user.pk)
        user.delete()
    request.session.flush()
    request.user = AnonymousUser()
    return render(request, "account/deleted.html")


def _page(request: HttpRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    user = cast(User, request.user)
    context = {
        "name": user.get_full_name(),
        "has_password": user.has_usable_password(),
        "appearance": appearance_of(user),
        "themes": Theme.choices,
        "zones": zones(),
        "sign_ins": sign_ins.of(user, request.session.session_key),
        "tokens": ApiToken.objects.filter(user=user).order_by("-pk")[:MAX_TOKENS],
        "scopes": SCOPES,
        "chosen": (more.get("token_form") or TokenForm({"scopes": tokens.DEFAULT_SCOPES}))["scopes"].value(),
        "expires": EXPIRES,
        "now": timezone.now(),
        **more,
    }
    return render(request, "account/account.html", context, status=status)


def _must_wait(request: HttpRequest) -> int:
    """Count a try of the password. Return the seconds to wait where there were too many, else 0."""
    # Before it is tried: many at once would all be tried else.
    return rates.take(TRIES, str(request.user.pk))


def _refused(request: HttpRequest, wait: int) -> HttpResponse:
    # Without the form: asking it for its errors would try the password.
    answer = _page(request, status=429, wait=wait)
    answer["Retry-After"] = str(wait)
    return answer
