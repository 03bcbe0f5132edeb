"""The verbs of the inbox: telling users, following and muting. What users do with it is in `acting.py`."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from notifications.models import Follow, Mute
from notifications.telling import News, Told, tell
from realtime.publish import recheck

__all__ = [
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


def follow(user: Any, about: str) -> None:
    """Let `user` hear about `about`: `job:<uuid>` or an object such as `company:12`. Twice is fine."""
    Follow.objects.bulk_create([Follow(user=user, about=about)], ignore_conflicts=True)


def unfollow(user_id: int, about: str) -> None:
    """Let a user hear no more about `about`, nor see what they saw as a follower alone."""
    Follow.objects.filter(user=user_id, about=about).delete()
    recheck([user_id])


def mute(user: Any, about: str) -> None:
    """Let `user` hear nothing of `about`: a job, `source:<name>`, an object. Twice is fine."""
    Mute.objects.bulk_create([Mute(user=user, about=about)], ignore_conflicts=True)


def unmute(user_id: int, about: str) -> None:
    """Let a user hear of `about` again."""
    Mute.objects.filter(user=user_id, about=about).delete()


def forget(abouts: Iterable[str]) -> None:
    """Let nobody follow or mute what is gone."""
    names = list(abouts)
    Follow.objects.filter(about__in=names).delete()
    Mute.objects.filter(about__in=names).delete()


def followers(about: str) -> set[int]:
    """Return the ids of the users who follow `about` and may still sign in."""
    return set(Follow.objects.filter(about=about, user__is_active=True).values_list("user_id", flat=True))
