"""What the forms of an inbox ask for: a verb, and which notifications it is for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core import signing
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from config.problems import Problem
from notifications import acting, days, inbox
from notifications.acting import Chosen, Touched
from notifications.listing import Filter
from notifications.pages import MAX_PICKED, Filters, picked

MAX_ABOUT = 200  # characters

# What a form may ask for -> what does it, and what a message says of it.
VERBS: dict[str, tuple[Callable[..., Touched], str]] = {
    "see": (acting.see, "Seen"),
    "read": (acting.read, "Marked as read"),
    "unread": (acting.unread_again, "Marked as unread"),
    "archive": (acting.archive, "Archived"),
    "restore": (acting.restore, "Moved to the inbox"),
    "wake": (acting.wake, "Moved to the inbox"),
    "snooze": (acting.snooze, "Snoozed"),
}
# What undoes a verb: by the time at which it was done, however many it was done to, or by ids.
UNDO_BY_TIME = {"read": "unread", "archive": "restore", "snooze": "wake"}
UNDO_BY_IDS = {"unread": "read", "restore": "archive"}


class Unclear(ValueError):
    """A form that asks for nothing we know; its text says what is missing."""


@dataclass(frozen=True)
class Done:
    """What was done, in words, and what undoes it."""

    count: int
    text: str
    undo: str = ""


def do(user: Any, form: QueryDict) -> Done:
    """Do what a form asks for. Raises Unclear."""
    if token := form.get("undo", ""):
        return _undo(user, token)
    verb, _, named = form.get("one", "").partition(" ")
    if verb in ("mute", "unmute"):
        return _mute(user, verb, named)
    chosen: Chosen = picked([named])
    if not verb:
        verb = form.get("verb", "")
        chosen = of_bulk(form)
    if verb not in VERBS:
        raise Unclear("There is no such thing to do.")
    if verb == "snooze":
        touched = acting.snooze(user, chosen, until(form, timezone.now()))
    else:
        touched = VERBS[verb][0](user, chosen)
    many = f"{touched.count:,} notification{'' if touched.count == 1 else 's'}"
    return Done(touched.count, f"{VERBS[verb][1]}: {many}", _token(user, verb, touched))


def of_bulk(form: QueryDict) -> Filter | list[int]:
    """Return what the bulk buttons mean: the ticked ones, or all that matched when the page was made."""
    if form.get("all") != "1":
        return picked(form.getlist("pick"))
    upto = _time(form.get("upto", ""))
    if upto is None:
        raise Unclear("The page does not say what it has shown. Reload it.")
    return Filters.from_query(form).wanted(upto)


def until(form: QueryDict, now: datetime) -> datetime | None:
    """Return when what is put off comes back; None: with the next news of its job. Raises Unclear."""
    choice = form.get("until", "")
    if choice == "job":
        return None
    zone = _zone(form.get("zone", ""))
    if choice != "at":
        try:
            return days.wake(choice, now.astimezone(zone))
        except ValueError:
            raise Unclear("Choose until when.") from None
    at = _time(form.get("at", ""))
    if at is None or at <= now:
        raise Unclear("Choose a time to come.")
    return at


def _zone(name: str) -> Any:
    """Return the reader's zone as the page's script names it; without it the site's."""
    try:
        return ZoneInfo(name) if name else timezone.get_current_timezone()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return timezone.get_current_timezone()


def _time(text: str) -> datetime | None:
    """Return a time; one without a zone is in the site's."""
    try:
        at = parse_datetime(text)
        if at is not None and timezone.is_naive(at):
            at = timezone.make_aware(at)
        return at and at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _mute(user: Any, verb: str, about: str) -> Done:
    if not about or len(about) > MAX_ABOUT or "\0" in about:
        raise Unclear("There is nothing to mute.")
    if verb == "mute":
        try:
            is_new = inbox.mute(user, about)
        except ValueError:
            raise Unclear("There is nothing to mute.") from None
        except Problem as problem:
            raise Unclear(problem.detail) from None
        # What was muted before stays muted when this is undone.
        return Done(1, "Muted. You hear no more of it.", _sign(user, ["unmute", about]) if is_new else "")
    inbox.unmute(user.pk, about)
    return Done(1, "You hear of it again.")


def _salt(user: Any) -> str:
    return f"inbox-undo:{user.pk}"


def _sign(user: Any, what: list[Any]) -> str:
    return signing.dumps(what, salt=_salt(user))


def _token(user: Any, verb: str, touched: Touched) -> str:
    if not touched.count:
        return ""
    if verb in UNDO_BY_TIME and touched.at is not None:
        return _sign(user, [UNDO_BY_TIME[verb], touched.at.isoformat()])
    if touched.until and touched.count <= MAX_PICKED:
        return _sign(user, ["again", [[pk, at and at.isoformat()] for pk, at in touched.until.items()]])
    if verb in UNDO_BY_IDS and touched.count <= MAX_PICKED:
        return _sign(user, [UNDO_BY_IDS[verb], touched.ids])
    return ""


def _undo(user: Any, token: str) -> Done:
    try:
        verb, what = signing.loads(token, salt=_salt(user))
    except (signing.BadSignature, ValueError):
        raise Unclear("That can no longer be undone.") from None
    if verb == "unmute":
        inbox.unmute(user.pk, what)
        return Done(1, "Undone")
    if verb == "again":
        times = {pk: at and datetime.fromisoformat(at) for pk, at in what}
        return Done(acting.snooze_again(user, times).count, "Undone")
    touched = VERBS[verb][0](user, datetime.fromisoformat(what) if isinstance(what, str) else what)
    return Done(touched.count, "Undone")
