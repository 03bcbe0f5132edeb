"""What everybody is told: one row for all, a receipt for who did something with it (seed S2.102, S2.114)."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from notifications.models.inbox import Level
from realtime.streams import Versioned


class Broadcasts(Versioned):
    """The stream `broadcast`: one row, whose version moves when a broadcast is published or withdrawn."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(name="broadcasts_one_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return "broadcast"


class Broadcast(models.Model):
    """One notification for everybody who had joined when it was published.

    published_by: a user's id; plain, so that it outlives the user. withdrawn_at: when it left all inboxes.
    key: of the form or the program that sent it, so that sending twice is sending once.
    """

    key = models.UUIDField(null=True, blank=True, unique=True)
    type = models.CharField(max_length=60, default="system")
    level = models.CharField(max_length=10, choices=Level, default=Level.INFO)
    title = models.CharField(max_length=200)
    text = models.CharField(max_length=2000, blank=True)
    url = models.CharField(max_length=1000, blank=True)
    published_by = models.PositiveBigIntegerField(blank=True, null=True)
    published_at = models.DateTimeField(db_default=Now())
    withdrawn_at = models.DateTimeField(blank=True, null=True)

    class Meta:
        permissions: ClassVar = [("send_broadcast", "Can notify others and everybody")]
        constraints: ClassVar = [
            models.CheckConstraint(name="broadcast_level", condition=Q(level__in=Level.values)),
            models.CheckConstraint(name="broadcast_title", condition=~Q(title="")),
        ]
        indexes: ClassVar = [
            models.Index(
                F("published_at").desc(), name="broadcast_live", condition=Q(withdrawn_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return self.title


class BroadcastReceipt(models.Model):
    """What one user did with a broadcast. deleted_at: they want to see it nowhere."""

    broadcast = models.ForeignKey(
        Broadcast, on_delete=models.CASCADE, related_name="receipts", db_index=False
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    seen_at = models.DateTimeField(blank=True, null=True)
    read_at = models.DateTimeField(blank=True, null=True)
    archived_at = models.DateTimeField(blank=True, null=True)
    deleted_at = models.DateTimeField(blank=True, null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="broadcast_receipt_once", fields=["broadcast", "user"])
        ]

    def __str__(self) -> str:
        return f"{self.user_id} on broadcast {self.broadcast_id}"
