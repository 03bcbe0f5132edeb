"""A job's history: notes that become events, numbered by the job's versions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ingestion.models import JobEvent, Level


@dataclass
class Note:
    """An event that is not written yet."""

    kind: str
    message: str
    level: str = Level.INFO
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class Figures:
    """The reporter's last words, written together with the outcome: column values and events."""

    columns: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def record(job_id: UUID, notes: Sequence[Note], first: int) -> None:
    """Write notes as events of a job, numbered from `first` on."""
    JobEvent.objects.bulk_create(
        JobEvent(
            job_id=job_id,
            version=first + n,
            level=note.level,
            kind=note.kind,
            message=note.message[:500],
            data=note.data,
        )
        for n, note in enumerate(notes)
    )
