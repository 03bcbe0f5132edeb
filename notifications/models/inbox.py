"""A user's inbox: what they were told, what they want to hear about. `inbox.py` holds the verbs."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from realtime.streams import Versioned


class Level(models.TextChoices):
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


class Inbox(Versioned):
    """One row per user; its version moves when the user's jobs or notifications change.

    unread: the user's own rows that are neither read, archived nor snoozed; broadcasts come on top.
    repairs: how many times `unread` was found wrong; each is a bug report.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE)
    unread = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    repairs = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    def __str__(self) -> str:
        return f"user:{self.user_id}"


class Notification(models.Model):
    """One thing a user is told. With a group key it is updated in place: one row per job.

    version: of the row it speaks of; an older or equal one changes nothing.
    updated_at: when it last said something new; what the user does with it leaves that alone.
    snoozed_until: empty for "until the job finishes".
    was_unread: whether it was unread before it was last written. The statement that writes a row returns it,
        and so knows by how much `Inbox.unread` changes: PostgreSQL before 18 returns no old values.
    """

    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications", db_index=False
    )
    type = models.CharField(max_length=60)
    level = models.CharField(max_length=10, choices=Level)
    title = models.CharField(max_length=200)
    text = models.CharField(max_length=2000, blank=True)
    url = models.CharField(max_length=1000, blank=True)
    about = models.CharField(max_length=200, blank=True, null=True)  # noqa: DJ001  # null: about nothing
    group_key = models.CharField(max_length=200, blank=True, null=True)  # noqa: DJ001  # null: never updated
    version = models.PositiveBigIntegerField(default=0)
    data = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(blank=True, null=True)
    read_at = models.DateTimeField(blank=True, null=True)
    archived_at = models.DateTimeField(blank=True, null=True)
    snoozed_at = models.DateTimeField(blank=True, null=True)
    snoozed_until = models.DateTimeField(blank=True, null=True)
    was_unread = models.BooleanField(default=False, db_default=False, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="notification_once",
                fields=["group_key", "recipient"],  # in this order: also who has a row of a key
                condition=Q(group_key__isnull=False),
            ),
            models.CheckConstraint(name="notification_level", condition=Q(level__in=Level.values)),
            models.CheckConstraint(name="notification_title", condition=~Q(title="")),
            models.CheckConstraint(
                name="notification_snooze",
                condition=Q(snoozed_until__isnull=True) | Q(snoozed_at__isnull=False),
            ),
            models.CheckConstraint(
                name="notification_away_once",
                condition=Q(archived_at__isnull=True) | Q(snoozed_at__isnull=True),
            ),
        ]
        indexes: ClassVar = [
            # A page of any view but Unread, and retention: newest first.
            models.Index("recipient", F("updated_at").desc(), F("id").desc(), name="notification_newest"),
            # Unread view, its count, and "mark all read".
            models.Index(
                "recipient",
                F("updated_at").desc(),
                F("id").desc(),
                name="notification_unread",
                condition=Q(read_at__isnull=True, archived_at__isnull=True, snoozed_at__isnull=True),
            ),
            # The keeper's look for snoozes that end.
            models.Index(
                fields=["snoozed_until"], name="notification_snoozed", condition=Q(snoozed_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.title


class Wanted(models.Model):
    """What a user said about `about`: `job:<uuid>`, a source or an object such as `company:12`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="%(class)ss")
    about = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True
        constraints: ClassVar = [models.UniqueConstraint(name="%(class)s_once", fields=["user", "about"])]
        indexes: ClassVar = [models.Index(name="%(class)s_of_object", fields=["about"])]


class Follow(Wanted):
    """A user wants to hear about it."""

    def __str__(self) -> str:
        return f"{self.user_id} follows {self.about}"


class Mute(Wanted):
    """A user wants to hear nothing of it, whoever else would tell them."""

    def __str__(self) -> str:
        return f"{self.user_id} muted {self.about}"
