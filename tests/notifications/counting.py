"""Counts as the rows say them, written apart from the code under test."""

from django.contrib.auth.models import User

from notifications.models import Inbox, Notification


def unread_rows(user_id: int) -> int:
    """Count a user's unread rows."""
    return Notification.objects.filter(
        recipient=user_id, read_at=None, archived_at=None, snoozed_at=None
    ).count()


def wrong_counts() -> list[tuple[int, int, int]]:
    """Return (user, `unread`, rows) wherever the two differ."""
    kept = dict(Inbox.objects.values_list("pk", "unread"))
    found = [(pk, kept.get(pk, 0), unread_rows(pk)) for pk in User.objects.values_list("pk", flat=True)]
    return [row for row in found if row[1] != row[2]]
