"""The user's stream, and what a user follows. The inbox itself comes with its own issue."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from realtime.streams import Versioned


class Inbox(Versioned):
    """One row per user; its version moves when the user's jobs or notifications change."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return f"user:{self.user_id}"


class Follow(models.Model):
    """A user wants to hear about `about`: `job:<uuid>` or an object such as `company:12`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="follows")
    about = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(name="follow_once", fields=["user", "about"])]
        indexes: ClassVar = [models.Index(name="follow_of_object", fields=["about"])]

    def __str__(self) -> str:
        return f"{self.user_id} follows {self.about}"
