"""Schedules: a source started again and again."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Schedule(models.Model):
    """Start a source with the same params at the times of a cron expression in a zone."""

    name = models.CharField(max_length=200)
    source = models.CharField(max_length=50)
    params = models.JSONField(default=dict, blank=True)
    cron = models.CharField(max_length=100)
    zone = models.CharField(max_length=64, default="UTC")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="schedules")
    paused = models.BooleanField(default=False)
    next_at = models.DateTimeField(null=True)  # null: not due before it is edited or resumed
    last_at = models.DateTimeField(null=True)
    last_job = models.ForeignKey(
        "ingestion.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    last_error = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes: ClassVar = [
            # keeper: what is due
            models.Index(name="schedule_due", fields=["next_at"], condition=models.Q(paused=False)),
        ]

    def __str__(self) -> str:
        return self.name
