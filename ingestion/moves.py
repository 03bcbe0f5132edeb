"""A move in one statement: the job's row, its attempt, its events. Only `lifecycle` makes moves.

The guard, the numbers of the events and what is written beside the row cannot disagree: either all of it
happens, or the statement finds no row.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, models

from config.statements import execute
from config.texts import marked
from ingestion.history import EVENTS, Note, arrays
from ingestion.models import Job, State
from ingestion.settings import LEASE

_FIELDS = {field.attname: field for field in Job._meta.concrete_fields}
_COLUMNS = ", ".join(f'moved."{field.column}"' for field in _FIELDS.values())
_JSON = [isinstance(field, models.JSONField) for field in _FIELDS.values()]


class Later(NamedTuple):
    """A value for a column: the database's clock when it is written, plus a while."""

    than_now: timedelta = timedelta(0)


NOW = Later()


class Met(Exception):
    """An open job has the same key, or is the same retry: nothing was written."""


class Moved(NamedTuple):
    """What a move tells of the row after it."""

    version: int
    run_after: datetime | None
    needed: bool  # other jobs wait for this one


_NEW = [name for name, field in _FIELDS.items() if field.db_default is models.NOT_PROVIDED]
_CREATE = f"""
    WITH moved AS (
        INSERT INTO ingestion_job ({", ".join(f'"{_FIELDS[name].column}"' for name in _NEW)})
        VALUES ({", ".join("%s" for _ in _NEW)}) ON CONFLICT DO NOTHING RETURNING id, version
    ) {EVENTS} RETURNING 1
"""  # nosec B608  # names of our own columns


def create(job: Job, note: Note) -> None:
    """Write the row of a new job and the event that tells of it. Raises Met."""
    # Every day somebody joins a job: an error of the database would be a line in its log each time.
    if not execute(_CREATE, [*(_assigned(name, getattr(job, name))[1] for name in _NEW), *arrays([note])]):
        raise Met
    job._state.adding = False  # the row is there: a `save` from now on is an update of it


_START = f"""
    WITH moved AS (
        UPDATE ingestion_job SET state = 'running', pending_reason = '', run_after = NULL, message = '',
            lease_token = %s, lease_until = clock_timestamp() + %s, attempt = attempt + 1,
            started_at = coalesce(started_at, now()), progress_at = clock_timestamp(), version = version + 1
        WHERE id = %s AND state = 'pending' RETURNING *
    ), attempt AS (
        INSERT INTO ingestion_jobattempt (job_id, number, worker, rq_id, outcome, traceback, stats)
        SELECT id, attempt, %s, %s, '', '', '{{}}' FROM moved
    ), event AS (
        INSERT INTO ingestion_jobevent (job_id, version, level, kind, message, data)
        SELECT id, version, 'info', 'started',
               CASE WHEN attempt = 1 THEN 'Started' ELSE 'Started again (attempt ' || attempt || ')' END,
               jsonb_build_object('attempt', attempt, 'worker', %s::text)
        FROM moved
    ) SELECT {_COLUMNS} FROM moved
"""  # nosec B608  # names of our own columns


def start(job_id: UUID, token: UUID, worker: str, rq_id: str) -> Job | None:
    """Give the lease of a pending job to a worker; return the job, or None when it is not pending."""
    rows = execute(_START, [token, LEASE, job_id, worker, rq_id, worker])
    return _job(rows[0]) if rows else None


def read(job_id: UUID) -> Job:
    """Return a job that exists, as its row is now."""
    return _job(execute(_READ, [job_id])[0])


def held(job_id: UUID, token: UUID) -> Job | None:
    """Lock and return a running job if this token still holds it."""
    rows = execute(_HELD, [job_id, token])
    return _job(rows[0]) if rows else None


_READ = f"SELECT {_COLUMNS} FROM ingestion_job moved WHERE id = %s"  # nosec B608
_HELD = f"""
    SELECT {_COLUMNS} FROM ingestion_job moved
    WHERE id = %s AND state = 'running' AND lease_token = %s FOR UPDATE
"""  # nosec B608


def leave(
    job: Job, to: State, notes: Sequence[Note], columns: Mapping[str, Any], outcome: str, traceback: str
) -> Moved | None:
    """Move a job from the state and token it was read with; None when it has left them since.

    The job then has the values that were written, but for times.

    columns: further values by attribute name; `Later` for times. outcome, traceback: of the running attempt.
    """
    texts, values = zip(*(_assigned(name, value) for name, value in columns.items()), strict=True)
    rows = execute(
        f"""
        WITH moved AS (
            UPDATE ingestion_job SET state = %s, version = version + %s, {", ".join(texts)}
            WHERE id = %s AND state = %s AND lease_token IS NOT DISTINCT FROM %s
            RETURNING id, version, attempt, run_after, source, object
        ), attempt AS (
            UPDATE ingestion_jobattempt a SET ended_at = clock_timestamp(), outcome = %s, traceback = %s
            FROM moved WHERE a.job_id = moved.id AND a.number = moved.attempt AND a.ended_at IS NULL
        ), events AS ({EVENTS}) SELECT version, run_after,
            EXISTS (SELECT 1 FROM ingestion_jobneed WHERE parent_id = moved.id),
            EXISTS (SELECT 1 FROM notifications_follow WHERE about IN ('source:' || source, object))
            FROM moved
        """,  # nosec B608  # names of our own columns
        [
            to.value,
            len(notes),
            *values,
            job.pk,
            str(job.state),
            job.lease_token,
            outcome[:20],
            marked(traceback)[-20_000:],
            *arrays(notes),
        ],
    )
    if not rows:
        return None
    for name, value in columns.items():
        if not isinstance(value, Later):
            setattr(job, name, value)
    version, run_after, needed, job.watched = rows[0]
    return Moved(version, run_after, needed)


def _assigned(name: str, value: Any) -> tuple[str, Any]:
    field = _FIELDS[name]
    if isinstance(value, Later):
        return f"{field.column} = clock_timestamp() + %s", value.than_now
    if isinstance(field, models.JSONField):
        value = None if value is None else json.dumps(value, cls=field.encoder)
    return f"{field.column} = %s", value


def _job(row: tuple[Any, ...]) -> Job:
    values = [
        json.loads(value) if is_json and value is not None else value
        for value, is_json in zip(row, _JSON, strict=True)
    ]
    return Job.from_db(connection.alias, list(_FIELDS), values)
