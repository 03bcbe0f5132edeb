"""What jobs and sources are called in a user's lists of what they follow and have muted."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.urls import reverse

from ingestion import source
from ingestion.access import visible_jobs
from notifications import abouts


def register() -> None:
    """Make both kinds known."""
    abouts.register("job", _jobs)
    abouts.register("source", _sources)


def _jobs(user: Any, keys: Collection[str]) -> Mapping[str, tuple[str, str]]:
    found = visible_jobs(user).filter(pk__in=[key for key in keys if _is_id(key)])
    return {
        str(pk): (title if subject in title else f"{title}, {subject}", reverse("ingestion:job", args=[pk]))
        for pk, title, subject in found.values_list("pk", "title", "subject")
    }


def _sources(user: Any, keys: Collection[str]) -> Mapping[str, tuple[str, str]]:
    known = source.registry()
    return {key: (f"All jobs of {known[key].label}", "") for key in keys if key in known}


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
