"""The engine's numbers, read once from the project's settings."""

from datetime import timedelta

from django.conf import settings

LEASE_SECONDS: int = getattr(settings, "JOB_LEASE_SECONDS", 10)
LEASE = timedelta(seconds=LEASE_SECONDS)
# A worker that could not write for this long ends itself: before anybody may take its lease.
SELF_FENCE_SECONDS: float = LEASE_SECONDS * 0.7
MAX_QUEUED_PER_USER: int = getattr(settings, "MAX_QUEUED_PER_USER", 100)
MAX_QUEUED: int = getattr(settings, "MAX_QUEUED", 10_000)
MAX_ITEMS: int = getattr(settings, "MAX_ITEMS", 100_000)
