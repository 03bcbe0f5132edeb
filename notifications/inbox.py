"""The verbs of the inbox: what moves a user's stream, and who follows what."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model

from config.statements import execute
from notifications.models import Follow, Inbox
from realtime.publish import publish, recheck

_TOUCH = f"""
    INSERT INTO {Inbox._meta.db_table} AS inbox (user_id, version)
    SELECT id, 1 FROM {get_user_model()._meta.db_table}
    WHERE id = ANY(%s) OR id IN (SELECT user_id FROM {Follow._meta.db_table} WHERE about = ANY(%s::text[]))
    ORDER BY id FOR KEY SHARE
    ON CONFLICT (user_id) DO UPDATE SET version = inbox.version + 1
    RETURNING user_id, version
"""  # table names of our own models  # nosec B608


def touch(user_ids: Iterable[int], abouts: Iterable[str] = ()) -> None:
    """Move the streams of these users, and of the followers of `abouts`, by one in the current transaction.

    Rows are locked in ascending user id, everywhere, so that two transactions cannot wait for each other.
    Users that are gone are left out.
    """
    wanted, followed = sorted(set(user_ids)), sorted(set(abouts))
    if not wanted and not followed:
        return
    moved = execute(_TOUCH, [wanted, followed])
    for user_id, version in moved:
        publish(f"user:{user_id}", version, urgent=True)


def follow(user: Any, about: str) -> None:
    """Let `user` hear about `about`: `job:<uuid>` or an object such as `company:12`. Twice is fine."""
    Follow.objects.bulk_create([Follow(user=user, about=about)], ignore_conflicts=True)


def unfollow(user_id: int, about: str) -> None:
    """Let a user hear no more about `about`, nor see what they saw as a follower alone."""
    Follow.objects.filter(user=user_id, about=about).delete()
    recheck([user_id])


def forget(abouts: Iterable[str]) -> None:
    """Let nobody follow what is gone."""
    Follow.objects.filter(about__in=list(abouts)).delete()


def followers(about: str) -> set[int]:
    """Return the ids of the users who follow `about` and may still sign in."""
    return set(Follow.objects.filter(about=about, user__is_active=True).values_list("user_id", flat=True))
