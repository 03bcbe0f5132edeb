"""What people are told of jobs: one row a job, whose type says how the job is."""

from notifications.models import Level
from notifications.types import WITH_EMAIL, declare

GROUP = "Jobs"
STARTED = "job_started"
WAITING = "job_waiting"
DONE = "task_complete"  # the name of seed S2.54
PARTIAL = "job_partial"
FAILED = "job_failed"
CANCELLED = "job_cancelled"

declare(STARTED, "Started jobs", group=GROUP, many="{n} jobs have started")
declare(WAITING, "Jobs that need you", level=Level.WARNING, channels=WITH_EMAIL, group=GROUP)
declare(DONE, "Finished jobs", level=Level.SUCCESS, group=GROUP, many="{n} jobs are done")
declare(
    PARTIAL,
    "Jobs that finished with errors",
    level=Level.WARNING,
    group=GROUP,
    many="{n} jobs have finished with errors",
)
declare(
    FAILED, "Failed jobs", level=Level.ERROR, channels=WITH_EMAIL, group=GROUP, many="{n} jobs have failed"
)
declare(
    CANCELLED,
    "Jobs that somebody else cancelled",
    level=Level.WARNING,
    group=GROUP,
    many="{n} jobs were cancelled",
)
