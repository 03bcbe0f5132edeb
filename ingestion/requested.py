"""The job that a request to the API names: for who may see it, and for who may act on it."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest

from config.problems import Problem
from ingestion import access, serializers
from ingestion.models import Job


def visible_job(request: HttpRequest, job_id: UUID) -> Job:
    """Return a job that this user may see. Raises Problem not_found."""
    job = serializers.for_json(access.visible_jobs(request.user)).filter(pk=job_id).first()
    if job is None:
        raise Problem("not_found")
    return job


def acting_job(request: HttpRequest, job_id: UUID) -> Job:
    """Return a job that this user, with this token, may act on. Raises Problem."""
    job = visible_job(request, job_id)
    others = job.owner_id != request.user.pk
    if not access.can_act(request.user, job) or (others and not for_others(request)):
        raise Problem("permission_denied")
    return job


def for_others(request: HttpRequest) -> bool:
    """Say whether a request may act on what belongs to others, as far as its token says (SEC67)."""
    token: Any = getattr(request, "token", None)
    return token is None or "operate" in token.scopes
