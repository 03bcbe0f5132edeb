"""What runs now, and what was told to stop."""

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from realtime.streams import Versioned


class ProcessQuerySet(models.QuerySet["Process"]):
    """Processes, by whether they live."""

    def alive(self, seconds: float) -> "ProcessQuerySet":
        """Return those that have beaten within so many seconds, by the database's clock."""
        return self.filter(beat_at__gt=Now() - timedelta(seconds=seconds))


class Process(models.Model):
    """A living process of ours. It beats every 5 s; 15 s without a beat means it is gone."""

    name = models.CharField(max_length=100, unique=True)
    role = models.CharField(max_length=10)  # web, worker, keeper
    host = models.CharField(max_length=100)
    pid = models.PositiveIntegerField()
    queue = models.CharField(max_length=30, blank=True, default="")
    job = models.ForeignKey(
        "ingestion.Job", null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False
    )
    started_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(db_default=Now())

    objects = ProcessQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "processes"

    def __str__(self) -> str:
        return self.name


class Pause(models.Model):
    """Nothing in `scope` (all, queue:x, source:x, host:x) starts until `until` (null: until ended)."""

    scope = models.CharField(max_length=200, unique=True)
    until = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="pause_scope_known",
                condition=models.Q(scope="all") | models.Q(scope__regex=r"^(queue|source|host):.+$"),
            ),
        ]

    def __str__(self) -> str:
        return self.scope


class Sighting(models.Model):
    """That a part of the system was seen within a minute to answer, or not to. Only ever added."""

    # In this order it also serves who reads the last day, and who deletes what is older.
    pk = models.CompositePrimaryKey("at", "component", "answered")
    at = models.DateTimeField()  # when the minute began
    component = models.CharField(max_length=10)  # web, keeper, database, redis
    answered = models.BooleanField()

    def __str__(self) -> str:
        return f"{self.component} {self.at:%H:%M}"


class System(Versioned):
    """One row: whether all data is stable and somebody works, as last found. Written when that changes."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    stable = models.BooleanField(null=True)  # null: nobody looks, or has looked yet
    since = models.DateTimeField(db_default=Now(), editable=False)  # when `stable` became what it is
    no_workers = models.BooleanField(default=False)  # nobody takes jobs

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(name="system_one_row", condition=models.Q(id=1))]

    def __str__(self) -> str:
        return {True: "stable", False: "processing", None: "unknown"}[self.stable]
