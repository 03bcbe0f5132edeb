"""Tables of the jobs room. `lifecycle.py` holds the verbs."""

from ingestion.models.access import ApiToken, IdempotencyKey
from ingestion.models.dismissals import Dismissal
from ingestion.models.jobs import (
    ACTIVE,
    ACTIVE_REASONS,
    FINAL,
    MOVES,
    OPEN,
    ItemState,
    Job,
    JobAttempt,
    JobEvent,
    JobItem,
    JobNeed,
    Level,
    PendingReason,
    Priority,
    State,
)
from ingestion.models.operations import Pause, Process, Sighting, System
from ingestion.models.schedules import Schedule
from ingestion.models.uploads import Upload

__all__ = [
    "ACTIVE",
    "ACTIVE_REASONS",
    "FINAL",
    "MOVES",
    "OPEN",
    "ApiToken",
    "Dismissal",
    "IdempotencyKey",
    "ItemState",
    "Job",
    "JobAttempt",
    "JobEvent",
    "JobItem",
    "JobNeed",
    "Level",
    "Pause",
    "PendingReason",
    "Priority",
    "Process",
    "Schedule",
    "Sighting",
    "State",
    "System",
    "Upload",
]
