"""Uploads: files given before the job that reads them."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from uuid6 import uuid7


class Upload(models.Model):
    """A stored file of a user. `job` is set by the job that took it; others go after 24 hours."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    name = models.CharField(max_length=255)  # as the user called it, cleaned; never a path
    path = models.CharField(max_length=255)  # in the storage, by our own id
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    type = models.CharField(max_length=100)  # by content, not by name
    job = models.ForeignKey(
        "ingestion.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="uploads"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            # keeper.prune
            models.Index(name="upload_expiring", fields=["expires_at"]),
            # quota, duplicates by content
            models.Index(name="upload_by_content", fields=["owner", "sha256"]),
        ]

    def __str__(self) -> str:
        return self.name
