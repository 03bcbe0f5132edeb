"""Where else people are told: what they chose, and the log of what was sent."""

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from notifications.models.inbox import Notification


class Channel(models.TextChoices):
    INBOX = "inbox"
    EMAIL = "email", "E-mail"
    WEBHOOK = "webhook"
    BROWSER = "browser"


class DeliveryState(models.TextChoices):
    DUE = "due"
    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


class Preference(models.Model):
    """A user's choice for one type on one channel; without a row the type's own default counts.

    when: "off" or "instant"; a digest would be a third word.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preferences")
    type = models.CharField(max_length=60)
    channel = models.CharField(max_length=10, choices=Channel)
    when = models.CharField(max_length=10, choices=[("off", "Off"), ("instant", "At once")])

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="preference_once", fields=["user", "type", "channel"]),
            models.CheckConstraint(name="preference_channel", condition=Q(channel__in=Channel.values)),
            models.CheckConstraint(name="preference_when", condition=Q(when__in=["off", "instant"])),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.type} by {self.channel} {self.when}"


class Webhook(models.Model):
    """Where a user wants notifications POSTed.

    secret: the key of the signature, encrypted at rest. ended_at: when nothing more was sent there, with the
    reason.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhook")
    url = models.CharField(max_length=1000)
    secret = models.CharField(max_length=500)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(blank=True, null=True)
    reason = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"webhook of {self.user_id}"


class Delivery(models.Model):
    """One notification, as it stood at one version, on its way over one channel.

    key: what a receiver knows it by, the same with every try. due_at: not before this time; while somebody
    sends it, the end of their lease. tries: how often it was begun.
    """

    key = models.UUIDField(unique=True, db_default=RandomUUID(), editable=False)
    # Migration 0005 makes the constraint, which deletes them: statements delete notifications, and Django
    # would read all of a user's to find deliveries, and miss what came meanwhile.
    notification = models.ForeignKey(
        Notification, on_delete=models.DO_NOTHING, related_name="deliveries", db_constraint=False
    )
    version = models.PositiveBigIntegerField()
    channel = models.CharField(max_length=10, choices=Channel)
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.DUE)
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(blank=True, null=True)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(name="delivery_once", fields=["notification", "channel", "version"]),
            models.CheckConstraint(name="delivery_state", condition=Q(state__in=DeliveryState.values)),
            models.CheckConstraint(
                name="delivery_sent_at",
                condition=Q(state="sent", sent_at__isnull=False)
                | (~Q(state="sent") & Q(sent_at__isnull=True)),
            ),
        ]
        indexes: ClassVar = [
            # The look for what is due on one channel, whatever waits on another.
            models.Index(fields=["channel", "due_at"], name="delivery_due", condition=Q(state="due")),
        ]

    def __str__(self) -> str:
        return f"{self.channel} of notification {self.notification_id}"
