"""Dead letters that somebody has looked at."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Dismissal(models.Model):
    """A job that failed for good, or set items aside, and that nobody needs to look at any more."""

    job = models.OneToOneField(
        "ingestion.Job", on_delete=models.CASCADE, primary_key=True, related_name="dismissal"
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(max_length=300, blank=True, default="")
    at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"dismissed: {self.job_id}"
