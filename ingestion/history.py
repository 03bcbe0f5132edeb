"""A job's history: notes that become events, numbered by the job's versions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder

from config import texts
from config.statements import execute
from ingestion.models import Level


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


# The notes of `arrays` as events of `moved`, a job's row in the same statement; they end at its version.
EVENTS = """
    INSERT INTO ingestion_jobevent (job_id, version, level, kind, message, data)
    SELECT moved.id, moved.version - %s + note.n, note.level, note.kind, note.message, note.data
    FROM moved, unnest(%s::text[], %s::text[], %s::text[], %s::jsonb[])
        WITH ORDINALITY AS note(level, kind, message, data, n)
"""
_RECORD = f"WITH moved AS (SELECT %s::uuid AS id, %s::bigint AS version) {EVENTS}"  # nosec B608


def arrays(notes: Sequence[Note]) -> list[Any]:
    """Return the parameters of `EVENTS`."""
    return [
        len(notes),
        [str(note.level) for note in notes],
        [note.kind for note in notes],
        [texts.marked(note.message)[:500] for note in notes],
        [json.dumps(note.data, cls=DjangoJSONEncoder) for note in notes],
    ]


def record(job_id: UUID, notes: Sequence[Note], first: int) -> None:
    """Write notes as events of a job, numbered from `first` on."""
    if notes:
        execute(_RECORD, [job_id, first + len(notes) - 1, *arrays(notes)])
