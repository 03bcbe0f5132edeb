"""What the demo sources leave behind, so that tests can count effects."""

from django.db import models
from django.db.models.functions import Now

from realtime.streams import Versioned


class Effect(models.Model):
    """One effect of one item. No constraint on purpose: a double effect must be seen, not prevented."""

    job = models.UUIDField()
    key = models.CharField(max_length=100)
    token = models.CharField(max_length=100)  # the database session's name: which attempt wrote it
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.key


class Shelf(Versioned):
    """A row that open pages watch."""

    name = models.CharField(max_length=50)

    @property
    def stream(self) -> str:
        return f"shelf:{self.pk}"
