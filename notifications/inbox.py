"""The verbs of the inbox: telling users, following and muting. What users do with it is in `acting.py`."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from config.problems import Problem
from config.statements import execute
from notifications.models import Follow, Mute, Notification
from notifications.telling import News, Told, tell
from realtime.publish import recheck

ABOUT = r"^[a-z][a-z_]{0,49}:[^\s\x00]{1,149}$"  # what can be followed and muted
MOST_ABOUTS = 1000  # that one user follows, and that one user mutes

__all__ = [
    "ABOUT",
    "MOST_ABOUTS",
    "News",
    "Told",
    "follow",
    "followers",
    "forget",
    "mute",
    "notify",
    "tell",
    "touch",
    "unfollow",
    "unmute",
]


# The version moves, so that open pages draw the row anew.
_LEAD_NOWHERE = f"""
    UPDATE {Notification._meta.db_table} SET url = '', version = version + 1,
        data = data - '{{open,retry,review}}'::text[]
    WHERE group_key = ANY(%s)
"""  # nosec B608  # the name of our own table


def notify(
    users: Iterable[Any],
    type: str,
    title: str,
    *,
    text: str = "",
    url: str = "",
    about: str | None = None,
    group_key: str | None = None,
    version: int | None = None,
    level: str = "",
    data: Mapping[str, Any] | None = None,
    by: Any = None,
) -> list[Told]:
    """Tell users something, now and in their inboxes; return the rows that were written.

    type: a declared one. title: 1-200 characters; text: 2,000 at most. about: `job:<uuid>` or an object, for
    who muted it. group_key: with it a user has one row of this key, updated in place; version: of what it
    speaks of, needed then: an older or equal one changes nothing. by: the user who did it, not told.
    Call it last in a transaction. Raises UnknownType, ValueError.
    """
    if group_key is not None and version is None:
        raise ValueError("what is updated in place needs a version")
    news = News(
        type=type,
        title=title,
        text=text,
        url=url,
        about=about,
        group_key=group_key,
        version=1 if version is None else version,
        level=level,
        data=data or {},
        users=[user if isinstance(user, int) else user.pk for user in users],
        by=None if by is None else by.pk,
    )
    with transaction.atomic():
        return tell([news])


def touch(user_ids: Iterable[int], abouts: Iterable[str] = ()) -> None:
    """Move the streams of these users, and of the followers of `abouts`, in the current transaction."""
    tell([], user_ids, abouts)


def follow(user: Any, about: str, *, limited: bool = True) -> bool:
    """Let `user` hear about `about`: `job:<uuid>` or an object such as `company:12`; False when they did.

    limited: not more than MOST_ABOUTS. Raises ValueError for what is no name, Problem when there is no room.
    """
    return _want(Follow, user, about, "things that you follow", limited)


def unfollow(user_id: int, about: str) -> None:
    """Let a user hear no more about `about`, nor see what they saw as a follower alone."""
    Follow.objects.filter(user=user_id, about=about).delete()
    recheck([user_id])


def mute(user: Any, about: str) -> bool:
    """Let `user` hear nothing of `about`: a job, `source:<name>`, an object; False when they did not.

    Raises ValueError for what is no name, Problem when there is no room.
    """
    return _want(Mute, user, about, "things muted", True)


def _want(model: type[Follow] | type[Mute], user: Any, about: str, things: str, limited: bool) -> bool:
    if re.fullmatch(ABOUT, about) is None:
        raise ValueError("Name it as kind:name, for example company:12.")
    mine = model._default_manager.filter(user=user)
    if mine.filter(about=about).exists():
        return False
    if limited and mine.count() >= MOST_ABOUTS:
        raise Problem("quota_exceeded", n=f"{MOST_ABOUTS:,}", things=things)
    # In one statement: two clicks may both have found nothing.
    wanted: Any = model(user=user, about=about)
    model._default_manager.bulk_create([wanted], ignore_conflicts=True)
    return True


def unmute(user_id: int, about: str) -> None:
    """Let a user hear of `about` again."""
    Mute.objects.filter(user=user_id, about=about).delete()


def forget(abouts: Iterable[str], moving: Iterable[int] = ()) -> None:
    """Let nobody follow or mute what is gone, and no notification lead there or offer to do something.

    abouts: names that are group keys, too. moving: users whose streams move, besides those whom it concerns.
    Call it last in a transaction: it locks inboxes.
    """
    names = list(abouts)
    if not names:
        return
    holders = Notification.objects.filter(group_key__in=names).values_list("recipient_id", flat=True)
    touch({*moving, *holders}, names)
    execute(_LEAD_NOWHERE, [names])
    Follow.objects.filter(about__in=names).delete()
    Mute.objects.filter(about__in=names).delete()


def followers(about: str) -> set[int]:
    """Return the ids of the users who follow `about` and may still sign in."""
    return set(Follow.objects.filter(about=about, user__is_active=True).values_list("user_id", flat=True))
