"""The job that the address of a page names."""

from typing import Any
from uuid import UUID

from django.http import Http404

from ingestion import serializers
from ingestion.access import visible_jobs


class NoSuchJob(Http404):
    """A job that is absent or not visible, which is the same. `for_people` is shown on the page."""

    def __init__(self, pk: UUID) -> None:
        super().__init__()
        self.for_people = (
            f"Job {str(pk)[-8:]} does not exist, it was removed, or it is not yours to see. "
            "Whoever started it can tell you."
        )


def visible(user: Any, pk: UUID) -> Any:
    """Return a job that a user sees, with what its serializers need. Raises NoSuchJob."""
    found = serializers.for_json(visible_jobs(user)).filter(pk=pk).first()
    if found is None:
        raise NoSuchJob(pk)
    return found
