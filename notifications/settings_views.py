"""The page where a user says what to hear about and how, and the one that a mail's way out leads to."""

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from config import texts
from notifications import abouts, inbox, outbox, preferences, types, webhooks
from notifications.models import Channel, Follow, Mute, Webhook

MAX_LISTED = 200  # follows or mutes on the page; the API pages through all
MAX_LOG = 5  # deliveries of the webhook that show
COLUMNS = [
    (Channel.INBOX, "Inbox"),
    (Channel.EMAIL, "E-mail"),
    (Channel.WEBHOOK, "Webhook"),
    (Channel.BROWSER, "Browser"),
]


@login_required
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """Show what the user gets, and what they follow and have muted."""
    return _page(request)


@login_required
@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Keep the choices that differ from what holds; the others stay with the type's own."""
    user_id = cast(int, request.user.pk)
    asked = set(request.POST.getlist("on"))
    changed = [
        (choice.type.name, channel, f"{choice.type.name}:{channel}" in asked)
        for choice in preferences.of_user(user_id)
        for channel, _ in COLUMNS
        if (f"{choice.type.name}:{channel}" in asked) != (channel in choice.channels)
    ]
    preferences.choose_all(user_id, changed)
    messages.success(request, "Your choices are saved.")
    return redirect("notifications:settings")


@login_required
@require_POST
def unfollow(request: HttpRequest) -> HttpResponse:
    """Take something off the follow list."""
    inbox.unfollow(cast(int, request.user.pk), _about(request))
    return redirect("notifications:settings")


@login_required
@require_POST
def unmute(request: HttpRequest) -> HttpResponse:
    """Take something off the mute list."""
    inbox.unmute(cast(int, request.user.pk), _about(request))
    return redirect("notifications:settings")


@login_required
@require_POST
@sensitive_variables("secret")
def set_webhook(request: HttpRequest) -> HttpResponse:
    """Keep where to send; this one answer shows the secret."""
    url = request.POST.get("url", "").strip()
    try:
        secret = webhooks.put(cast(int, request.user.pk), url)
    except ValueError as error:
        return _page(request, status=422, webhook_error=str(error), webhook_url=texts.marked(url[:1000]))
    return _page(request, secret=secret)


@login_required
@require_POST
def remove_webhook(request: HttpRequest) -> HttpResponse:
    """Send nothing there any more."""
    if webhooks.remove(cast(int, request.user.pk)):
        messages.success(request, "The webhook is removed.")
    return redirect("notifications:settings")


@login_required
@require_POST
def test_webhook(request: HttpRequest) -> HttpResponse:
    """Send a notification that says it is a test, the way all others go."""
    if webhooks.test(request.user):
        messages.success(request, "A test is on its way. How it went shows here within seconds.")
    else:
        messages.error(request, "Set a webhook first.")
    return redirect("notifications:settings")


@never_cache
@csrf_exempt  # a mail provider posts with nothing but the address, which is signed (RFC 8058)
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Show a button that ends mails of one type, or of all. A GET changes nothing: scanners follow links."""
    template = "notifications/unsubscribe.html"
    found = preferences.read_token(token)
    if found is None:
        return render(request, template, {"error": "This link is not complete."}, status=404)
    user_id, type_name = found
    kind = types.find(type_name)
    context: dict[str, Any] = {"type": kind.label if kind is not None else type_name}
    if request.method == "POST":
        everything = request.POST.get("what") == "all"
        preferences.unsubscribe(user_id, type_name, everything=everything)
        context |= {"done": True, "everything": everything}
    return render(request, template, context)


def _page(request: HttpRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    user: Any = request.user
    webhook = Webhook.objects.filter(user=user).first()
    follows, follows_left = _named(user, Follow)
    mutes, mutes_left = _named(user, Mute)
    context = {
        "columns": COLUMNS,
        "rows": [
            {
                "type": choice.type,
                "cells": [(channel, label, channel in choice.channels) for channel, label in COLUMNS],
            }
            for choice in preferences.of_user(user.pk)
        ],
        "follows": follows,
        "follows_left": follows_left,
        "mutes": mutes,
        "mutes_left": mutes_left,
        "webhook": webhook,
        "log": outbox.newest(user.pk, Channel.WEBHOOK, MAX_LOG) if webhook is not None else [],
        "email_ready": settings.EMAIL_READY,
        "email": user.email,
        **more,
    }
    return render(request, "notifications/settings.html", context, status=status)


def _about(request: HttpRequest) -> str:
    return request.POST.get("about", "").replace("\0", "")[:200]


def _named(user: Any, model: type[Follow] | type[Mute]) -> tuple[list[abouts.About], int]:
    """Return what is listed, the newest first, and how many older ones are not."""
    rows = model.objects.filter(user=user)
    newest = list(rows.order_by("-pk").values_list("about", flat=True)[: MAX_LISTED + 1])
    left = rows.count() - MAX_LISTED if len(newest) > MAX_LISTED else 0
    return abouts.describe(user, newest[:MAX_LISTED]), left
