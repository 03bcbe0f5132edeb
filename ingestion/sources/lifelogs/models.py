"""What is kept of a person's lifelogs: accounts at a service, their days, what was recorded on each."""

from datetime import UTC, date, datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Left, Now
from django.urls import reverse

from realtime.streams import Versioned


class Ingestion(models.TextChoices):
    """How much of a day is here. It never goes back."""

    PARTIAL = "partial"
    COMPLETE = "complete"


class Account(Versioned):
    """Whose lifelogs, where, and by which key. Its version moves with each of its days.

    Without a key it is the sample: a service that we made up answers, in our own process.
    """

    class Status(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"  # nobody asks the service before a person says so
        REVOKED = "revoked"  # the key is gone; what was brought stays

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="lifelog_accounts"
    )
    service = models.CharField(max_length=30)  # a name of services.py
    is_sample = models.BooleanField(default=False)
    label = models.CharField(max_length=100)
    zone = models.CharField(max_length=64)  # in which its days begin and end
    status = models.CharField(max_length=7, choices=Status, default=Status.ACTIVE)
    reason = models.CharField(max_length=300, blank=True, default="")  # why it is paused
    sealed_key = models.TextField(blank=True, default="")  # see config/sealing.py
    fingerprint = models.CharField(max_length=16, blank=True, default="")  # the same for the same key
    synced_from = models.DateTimeField(null=True)  # when the last whole sync began
    # the schedules that stand still with it, and go on with it
    stopped = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="account_key_once_an_owner",
                fields=["owner", "service", "fingerprint"],
                condition=~Q(fingerprint=""),
            ),
            models.UniqueConstraint(name="account_one_sample", fields=["owner"], condition=Q(is_sample=True)),
            models.CheckConstraint(
                name="account_active_has_key",
                condition=~Q(status="active") | Q(is_sample=True) | ~Q(sealed_key=""),
            ),
        ]

    def __str__(self) -> str:
        return self.label

    def get_absolute_url(self) -> str:
        """Return the path of its calendar."""
        return reverse("lifelogs:calendar", args=[self.pk])

    @property
    def stream(self) -> str:
        """Return the name of the stream of all its days."""
        return f"days:{self.pk}"

    @property
    def local(self) -> ZoneInfo:
        """Return its zone."""
        return ZoneInfo(self.zone)


class Day(Versioned):
    """A day of an account. Partial until it was read whole a while after it had ended."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="days", db_index=False)
    date = models.DateField()
    version = models.PositiveBigIntegerField(default=0, editable=False)  # 0: as a day without a row
    ingestion_status = models.CharField(max_length=8, choices=Ingestion, default=Ingestion.PARTIAL)
    items_count = models.PositiveIntegerField(default=0)  # those that were not deleted
    completed_at = models.DateTimeField(null=True)
    completed_version = models.PositiveBigIntegerField(null=True)  # when it became complete
    walked_at = models.DateTimeField(null=True)  # when the last reading that is stored began
    moved_at = models.PositiveBigIntegerField(default=0)  # the account's version when the day last changed
    trouble = models.CharField(max_length=300, blank=True, default="")  # why the last try failed

    class Meta:
        constraints: ClassVar = [
            # and the days of an account in their order
            models.UniqueConstraint(name="day_once", fields=["account", "date"]),
            models.CheckConstraint(
                name="day_completed_iff_complete",
                condition=Q(ingestion_status="partial", completed_at=None, completed_version=None)
                | Q(ingestion_status="complete", completed_at__isnull=False, completed_version__isnull=False),
            ),
        ]
        indexes: ClassVar = [
            # what moved since a version of the account
            models.Index(name="day_moved", fields=["account", "moved_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.date:%a} {self.date.day} {self.date:%b}"

    def get_absolute_url(self) -> str:
        """Return the path of its page."""
        return reverse("lifelogs:day", args=[self.account_id, self.date.isoformat()])

    @property
    def stream(self) -> str:
        """Return the name of its stream, which it has also without a row."""
        return f"day:{self.account_id}:{self.date.isoformat()}"

    @property
    def is_complete(self) -> bool:
        """Say whether all of it is here."""
        return self.ingestion_status == Ingestion.COMPLETE

    @property
    def changed_after(self) -> bool:
        """Say whether it changed after it had become complete."""
        return self.completed_version is not None and self.version > self.completed_version


class Words(models.GeneratedField):
    """The words of a text as PostgreSQL looks for them; nothing that is inserted brings them back."""

    db_returning = False  # type: ignore[assignment]  # Django itself goes by the value


class ItemManager(models.Manager["DataItem"]):
    """Items without their words, which only PostgreSQL reads."""

    def get_queryset(self) -> models.QuerySet["DataItem"]:
        """Leave the words where they are."""
        return super().get_queryset().defer("words")


class DataItem(models.Model):
    """Something that was recorded. It belongs to the day it began, in its owner's zone."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="items", db_index=False)
    day = models.ForeignKey(Day, on_delete=models.CASCADE, related_name="items")
    key = models.CharField(max_length=200)  # <namespace>:<id at the service>
    title = models.CharField(max_length=500, blank=True, default="")
    markdown = models.TextField(blank=True, default="")
    contents = models.JSONField(default=list)  # the service's tree of who said what
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    starred = models.BooleanField(default=False)
    source_updated_at = models.DateTimeField(null=True)
    digest = models.CharField(max_length=64)  # SHA-256 of all that the service said of it
    ingestion_status = models.CharField(max_length=8, choices=Ingestion, default=Ingestion.PARTIAL)
    deleted_at = models.DateTimeField(null=True)  # the service has it no more
    day_version = models.PositiveBigIntegerField()  # of the day when it last changed
    first_version = models.PositiveBigIntegerField()  # of the day when it came
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    # Stored: a word that most items have is looked for in each of them, and making their words takes long.
    # A text vector holds no more than a megabyte.
    words = Words(
        expression=SearchVector("title", Left("markdown", 200_000), config="simple"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    objects = ItemManager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="item_once_an_account", fields=["account", "key"]),
            models.CheckConstraint(
                name="item_key_has_namespace", condition=Q(key__regex=r"^[a-z][a-z0-9_]*:.+$")
            ),
        ]
        indexes: ClassVar = [
            # search by words
            GinIndex(fields=["words"], name="item_by_words"),
            # the newest of an account, for search: a word that most of them have is among these soon
            models.Index(
                models.F("account"),
                models.F("started_at").desc(),
                models.F("id").desc(),
                name="item_newest",
                condition=Q(deleted_at=None),
            ),
        ]

    def __str__(self) -> str:
        return self.title or self.key

    @property
    def source_id(self) -> str:
        """Return what the service calls it."""
        return self.key.partition(":")[2]


def begins(day: date, zone: ZoneInfo) -> datetime:
    """Return when a local day begins; where midnight is skipped or comes twice, its first moment.

    In UTC: a span added to a local time counts on the clock on the wall, which may be changed within it.
    """
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def ends(day: date, zone: ZoneInfo) -> datetime:
    """Return when a local day ends: after 23, 24 or 25 hours."""
    return begins(day + timedelta(days=1), zone)
