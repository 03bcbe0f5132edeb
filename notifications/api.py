"""The API of the inbox: a caller's own notifications, and telling others for who may.

Fixed paths stand before `{entry_id}`: `DELETE /read` is no notification's address (seed S2.45).
"""

from typing import Annotated, Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router

from config import paging
from config.http import JsonBody, StrictQuery, answer
from config.problems import Problem, invalid
from notifications import acting, broadcasts, inbox, links, listing, types
from notifications.entries import json_of
from notifications.listing import Filter
from notifications.schemas import (
    BeforeIn,
    CreatedOut,
    CreateIn,
    EntryId,
    InboxFilter,
    NotificationOut,
    NotificationsOut,
    SnoozeIn,
    TouchedOut,
    UnreadOut,
)

READ = ["GET", "HEAD"]
router = Router(tags=["notifications"])


# ---- all of them ------------------------------------------------------------------------------------------


@router.api_operation(READ, "/notifications", response=NotificationsOut, operation_id="list_notifications")
def list_notifications(
    request: HttpRequest, filters: Annotated[InboxFilter, StrictQuery(...)]
) -> HttpResponse:
    """List your notifications, the latest news first."""
    asked = filters.dict(exclude={"limit", "cursor"}, exclude_none=True)
    scope = paging.Scope("notifications", _user_id(request), asked)
    after = paging.read_cursor(scope, filters.cursor)
    view = "unread" if filters.unread_only else filters.view
    wanted = Filter(view, filters.group or "", filters.q or "")
    found = listing.entries(
        request.user,
        wanted,
        limit=filters.limit + 1,
        after=None if after is None else listing.read_place(after),
    )
    shown, following = paging.page(found, filters.limit, scope, listing.place_of)
    return answer({"notifications": [json_of(entry) for entry in shown], "next": following})


@router.api_operation(
    READ, "/notifications/unread-count", response=UnreadOut, operation_id="count_unread_notifications"
)
def count_unread(request: HttpRequest) -> HttpResponse:
    """Say how many of your notifications are unread."""
    return answer({"unread_count": listing.unread_count(request.user)})


@router.post("/notifications/mark-all-read", response=TouchedOut, operation_id="mark_all_notifications_read")
def mark_all_read(
    request: HttpRequest, body: Annotated[BeforeIn | None, JsonBody(...)] = None
) -> HttpResponse:
    """Mark all that are unread as read."""
    wanted = Filter("unread", until=body.before if body else None)
    return _touched(request, acting.read(request.user, wanted))


@router.delete("/notifications/read", response=TouchedOut, operation_id="delete_read_notifications")
def delete_read(request: HttpRequest) -> HttpResponse:
    """Delete all that are read."""
    return _touched(request, acting.delete(request.user, Filter("read")))


@router.post("/notifications/create", response={201: CreatedOut}, operation_id="create_notification")
def create(request: HttpRequest, body: Annotated[CreateIn, JsonBody(...)]) -> HttpResponse:
    """Tell yourself something; others and everybody with the permission for it."""
    to_all = body.username is None and "username" in body.model_fields_set
    others = to_all or body.username not in (None, _name(request))
    if others and not may_broadcast(request):
        raise Problem("permission_denied")
    if types.find(body.type) is None:
        raise invalid("type", f"Must be one of: {', '.join(sorted(types.declared()))}.", "literal_error")
    try:
        links.check(body.link)
    except ValueError as error:
        raise invalid("link", str(error), "link") from error
    if to_all:
        broadcasts.broadcast(body.title, text=body.message, url=body.link, type=body.type, by=request.user)
        return answer({"created": 1, "broadcast": True}, 201)
    user = _named(body.username) if others else request.user
    told = inbox.notify([user], body.type, body.title, text=body.message, url=body.link)
    return answer({"created": len(told), "broadcast": False}, 201)


def may_broadcast(request: HttpRequest) -> bool:
    """Say whether this caller, with this token, may tell others and everybody."""
    token = getattr(request, "token", None)
    return request.user.has_perm("notifications.send_broadcast") and (
        token is None or "operate" in token.scopes
    )


def _named(name: str | None) -> Any:
    user = get_user_model().objects.filter(username=name, is_active=True).first()
    if user is None:
        raise invalid("username", "Not found.", "not_found")
    return user


# ---- one of them ------------------------------------------------------------------------------------------


@router.api_operation(
    READ, "/notifications/{entry_id}", response=NotificationOut, operation_id="get_notification"
)
def get_notification(request: HttpRequest, entry_id: EntryId) -> HttpResponse:
    """Return one of your notifications."""
    return _entry(request, entry_id)


@router.delete("/notifications/{entry_id}", response={204: None}, operation_id="delete_notification")
def delete(request: HttpRequest, entry_id: EntryId) -> HttpResponse:
    """Delete one."""
    if not acting.delete(request.user, [entry_id]).count:
        raise Problem("not_found")
    return HttpResponse(status=204)


@router.post(
    "/notifications/{entry_id}/mark-read", response=NotificationOut, operation_id="mark_notification_read"
)
def mark_read(request: HttpRequest, entry_id: EntryId) -> HttpResponse:
    """Mark one as read. Twice is fine, as with all of these."""
    acting.read(request.user, [entry_id])
    return _entry(request, entry_id)


@router.post(
    "/notifications/{entry_id}/unread", response=NotificationOut, operation_id="mark_notification_unread"
)
def mark_unread(request: HttpRequest, entry_id: EntryId) -> HttpResponse:
    """Mark one as unread."""
    acting.unread_again(request.user, [entry_id])
    return _entry(request, entry_id)


@router.post(
    "/notifications/{entry_id}/archive", response=NotificationOut, operation_id="archive_notification"
)
def archive(request: HttpRequest, entry_id: EntryId) -> HttpResponse:
    """Put one away until there is news of it."""
    acting.archive(request.user, [entry_id])
    return _entry(request, entry_id)


@router.post(
    "/notifications/{entry_id}/restore", response=NotificationOut, operation_id="restore_notification"
)
def restore(request: HttpRequest, entry_id: EntryId) -> HttpResponse:
    """Bring one back that was archived or snoozed."""
    acting.restore(request.user, [entry_id])
    acting.wake(request.user, [entry_id])
    return _entry(request, entry_id)


@router.post("/notifications/{entry_id}/snooze", response=NotificationOut, operation_id="snooze_notification")
def snooze(request: HttpRequest, entry_id: EntryId, body: Annotated[SnoozeIn, JsonBody(...)]) -> HttpResponse:
    """Put one away until a time, or until what it is about has ended or needs you."""
    if body.until is not None and body.until <= timezone.now():
        raise invalid("until", "Must be a time to come.", "past")
    done = acting.snooze(request.user, [entry_id], body.until)
    entry = listing.one(request.user, entry_id)
    if entry is not None and not done.count and entry.snoozed_at is None:
        raise Problem("cannot_snooze")
    return _entry(request, entry_id)


def _entry(request: HttpRequest, entry_id: int) -> HttpResponse:
    entry = listing.one(request.user, entry_id)
    if entry is None:
        raise Problem("not_found")
    return answer(json_of(entry))


def _touched(request: HttpRequest, done: acting.Touched) -> HttpResponse:
    return answer({"count": done.count, "unread_count": listing.unread_count(request.user)})


def _user_id(request: HttpRequest) -> int:
    return int(request.user.pk or 0)


def _name(request: HttpRequest) -> str:
    return str(request.user.get_username())
