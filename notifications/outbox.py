"""The rows of deliveries: made with their notification, taken under a lease, settled by who holds it.

A lease is a `due_at` in the future: until then nobody else takes the row, and only who still finds their own
`due_at` in it may settle it. A lease that ran out lets another send it; what arrives twice carries one key.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from config.statements import execute
from notifications import preferences, types
from notifications.models import Channel, Delivery, DeliveryState, Notification, Preference, Webhook
from notifications.telling import Told

SENT_CHANNELS = (Channel.EMAIL, Channel.WEBHOOK)  # the browser is told by its page
LEASE_SECONDS = 120  # longer than a sender may take
# Seconds before the next try; after the last the delivery has failed. All of them are 21 hours.
WAITS = (10, 60, 300, 1_800, 7_200, 21_600, 43_200)
TOO_LATE = timedelta(days=3)  # news of that age would only puzzle
ENDED = (DeliveryState.FAILED, DeliveryState.DROPPED)  # what can be sent again
MAX_RETRIED = 500  # rows that one action may send again

_TABLES = {
    "delivery": Delivery._meta.db_table,
    "notification": Notification._meta.db_table,
    "preference": Preference._meta.db_table,
    "webhook": Webhook._meta.db_table,
    "user": get_user_model()._meta.db_table,
}

_ADD = """
    INSERT INTO {delivery} (notification_id, version, channel, state, tries, error)
    SELECT n.id, n.version, c.channel, 'due', 0, ''
    FROM {notification} n
    JOIN "{user}" u ON u.id = n.recipient_id AND u.is_active
    CROSS JOIN unnest(%(channels)s::text[]) c(channel)
    LEFT JOIN {preference} p ON p.user_id = n.recipient_id AND p.type = n.type AND p.channel = c.channel
    WHERE n.id = ANY(%(ids)s)
      AND coalesce(p."when" = 'instant',
                   (n.type || ' ' || c.channel) = ANY(%(on)s::text[])
                   OR c.channel = ANY(%(fallback)s::text[]) AND NOT n.type = ANY(%(declared)s::text[]))
      AND CASE c.channel
          WHEN 'email' THEN u.email <> ''
          ELSE EXISTS (SELECT FROM {webhook} w WHERE w.user_id = n.recipient_id AND w.ended_at IS NULL)
          END
    ON CONFLICT (notification_id, channel, version) DO NOTHING
""".format(**_TABLES)  # table names of our own models  # nosec B608

_TAKE = """
    UPDATE {delivery} SET tries = tries + 1, due_at = clock_timestamp() + %s * interval '1 second'
    WHERE id = (
        SELECT id FROM {delivery} WHERE state = 'due' AND channel = %s AND due_at <= statement_timestamp()
        ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id
""".format(**_TABLES)  # as above  # nosec B608


@dataclass(frozen=True)
class Outcome:
    """How a try ended. state DUE: it is tried again, unless that was the last time."""

    state: DeliveryState
    error: str = ""


def carry(told: Sequence[Told]) -> None:
    """Queue the deliveries of what was just told: of rows that say something new to their users."""
    add([row.id for row in told if row.fresh])


def add(notification_ids: Collection[int]) -> None:
    """Queue the deliveries of notifications that say something new, in the current transaction.

    One statement for any number of them: by what each recipient chose, to who has an address or a webhook
    and may still sign in. Twice for one version is once.
    """
    if not notification_ids:
        return
    declared = types.declared()
    values: dict[str, Any] = {
        "ids": list(notification_ids),
        "channels": [one for one in SENT_CHANNELS if one != Channel.EMAIL or settings.EMAIL_READY],
        "on": [f"{name} {channel}" for name, kind in declared.items() for channel in kind.channels],
        "fallback": list(preferences.FALLBACK),
        "declared": list(declared),
    }
    execute(_ADD, values)


def has_due(channel: str) -> bool:
    """Say whether something is to be sent now."""
    return Delivery.objects.filter(state=DeliveryState.DUE, channel=channel, due_at__lte=Now()).exists()


def take(channel: str) -> Delivery | None:
    """Take the delivery that is due the longest, for LEASE_SECONDS; None when there is none."""
    taken = execute(_TAKE, [LEASE_SECONDS, channel])
    # None too when the notification was deleted at this very moment: the next look goes on.
    rows = Delivery.objects.select_related("notification__recipient")
    return rows.filter(pk=taken[0][0]).first() if taken else None


def reason_to_drop(delivery: Delivery) -> str:
    """Return why a delivery that was taken is sent no more; "" when it is to be sent."""
    notification = delivery.notification
    if notification.version > delivery.version:
        return "The notification has said something newer."
    user: Any = notification.recipient
    if not user.is_active:
        return "The user may no longer sign in."
    if delivery.channel == Channel.EMAIL and not user.email:
        return "The user has no address."
    on = preferences.of_users([user.pk], notification.type)[user.pk]
    if not {Channel.INBOX, delivery.channel} <= on:
        return "The user chose otherwise."
    return ""


def settle(delivery: Delivery, outcome: Outcome) -> bool:
    """Keep how a try ended. Return False when the lease was lost: then another's word counts."""
    row = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.DUE, due_at=delivery.due_at)
    state, error = outcome.state, outcome.error[:500]
    if state == DeliveryState.DUE:
        late = delivery.created_at < timezone.now() - TOO_LATE
        if delivery.tries <= len(WAITS) and not late:
            wait = timedelta(seconds=WAITS[delivery.tries - 1])
            return bool(row.update(due_at=Now() + wait, error=error))
        state = DeliveryState.FAILED
    sent_at = Now() if state == DeliveryState.SENT else None
    return bool(row.update(state=state, sent_at=sent_at, error=error))


def hold_back(user_id: int, channel: str, tries: int) -> None:
    """Let a receiver that failed rest: what else is due for it waits as long as that one does."""
    until = Now() + timedelta(seconds=WAITS[min(tries, len(WAITS)) - 1])
    waiting = Q(state=DeliveryState.DUE, channel=channel, notification__recipient=user_id)
    Delivery.objects.filter(waiting, due_at__lte=Now()).update(due_at=until)


def retry(deliveries: QuerySet[Delivery]) -> int:
    """Send again what failed or was dropped; what is overtaken by then is dropped anew. Return how many."""
    chosen = deliveries.filter(state__in=ENDED).values_list("pk", flat=True)
    rows = Delivery.objects.filter(pk__in=list(chosen[:MAX_RETRIED]), state__in=ENDED)
    return rows.update(state=DeliveryState.DUE, tries=0, due_at=Now(), error="")


def newest(user_id: int, channel: str, count: int) -> Iterable[Delivery]:
    """Return a user's newest deliveries over one channel."""
    mine = Delivery.objects.filter(notification__recipient=user_id, channel=channel)
    return mine.select_related("notification").order_by("-pk")[:count]
