"""Jobs: the tables and their states. `lifecycle.py` holds the verbs."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse
from uuid6 import uuid7

from realtime.streams import Versioned


class State(models.TextChoices):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (State.PENDING, State.RUNNING, State.WAITING)
FINAL = (State.COMPLETED, State.PARTIAL, State.FAILED, State.CANCELLED)

# The moves a job may make. The trigger in migration 0002 holds the same table; a test compares them.
MOVES: dict[State, tuple[State, ...]] = {
    State.PENDING: (State.RUNNING, State.CANCELLED),
    State.RUNNING: (
        State.COMPLETED,
        State.PARTIAL,
        State.FAILED,
        State.CANCELLED,
        State.WAITING,
        State.PENDING,
    ),
    State.WAITING: (State.PENDING, State.CANCELLED),
    State.COMPLETED: (),
    State.PARTIAL: (),
    State.FAILED: (),
    State.CANCELLED: (),
}


class PendingReason(models.TextChoices):
    NONE = ""
    QUEUE = "queue"
    SLOT = "slot"
    RETRY = "retry"
    SCHEDULE = "schedule"
    DEPENDENCY = "dependency"


# Pending for one of these is work in progress; the others wait for a time, or a parent that says so itself.
ACTIVE_REASONS = (PendingReason.QUEUE, PendingReason.SLOT, PendingReason.RETRY)
# Work in progress: what makes data unstable. `is_system_stable()` of migration 0003 says the same in SQL.
ACTIVE = models.Q(state="running") | models.Q(
    state="pending", pending_reason__in=[str(reason) for reason in ACTIVE_REASONS]
)


class Priority(models.IntegerChoices):
    HIGH = 0
    NORMAL = 1
    LOW = 2


class Level(models.TextChoices):
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


class ItemState(models.TextChoices):
    PENDING = "pending"
    RUNNING = "running"  # written only after a crash, so that the next one knows whom to suspect
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    QUARANTINED = "quarantined"


class Job(Versioned):
    """One ingestion run. Only `lifecycle` moves `state`; only the lease holder writes figures."""

    watched = False  # no column: a move says whether somebody follows the job's source or object
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    source = models.CharField(max_length=50)
    queue = models.CharField(max_length=30)  # the source's queue when the job was made
    title = models.CharField(max_length=200)
    subject = models.CharField(max_length=200, blank=True)  # what it is about, for people: "AAPL"
    object = models.CharField(max_length=200, null=True)  # noqa: DJ001  null: about nothing; what it is about, as a stream name: "company:12"
    params = models.JSONField(default=dict)
    unique_key = models.CharField(max_length=300, null=True)  # noqa: DJ001  null: never the same work
    limit_key = models.CharField(max_length=200, blank=True, default="")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="jobs"
    )
    priority = models.SmallIntegerField(choices=Priority, default=Priority.NORMAL)

    state = models.CharField(max_length=9, choices=State, default=State.PENDING, editable=False)
    pending_reason = models.CharField(
        max_length=10, choices=PendingReason, default=PendingReason.QUEUE, blank=True, editable=False
    )
    run_after = models.DateTimeField(null=True)
    waiting_for = models.JSONField(null=True)  # {kind: upload | review, since, text}
    answer = models.JSONField(null=True)  # {kind, answer, data, by, at}: what the person said
    message = models.CharField(max_length=300, blank=True, default="")
    error = models.JSONField(null=True)  # {code, text}: a sentence for the user

    memo = models.JSONField(default=dict)  # what `once` returned, by name; at most 64 KB
    steps = models.JSONField(default=dict)
    progress = models.FloatField(default=0.0)
    rate = models.FloatField(null=True)  # items a minute over the last 60 s
    eta_seconds = models.FloatField(null=True)
    items_total = models.PositiveIntegerField(default=0)
    items_done = models.PositiveIntegerField(default=0)
    items_failed = models.PositiveIntegerField(default=0)  # quarantined ones included
    items_skipped = models.PositiveIntegerField(default=0)
    result = models.JSONField(null=True)
    result_url = models.CharField(max_length=500, blank=True, default="")

    retry_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="retries")
    needs = models.ManyToManyField("self", through="JobNeed", symmetrical=False, related_name="dependants")

    attempt = models.PositiveIntegerField(default=0)  # attempts begun
    failures = models.PositiveIntegerField(default=0)  # attempts that failed: what `retry` counts
    crashes = models.PositiveIntegerField(default=0)  # attempts lost in a row without progress
    lease_token = models.UUIDField(null=True)  # whoever holds it may write; a given-up worker's token is gone
    lease_until = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    progress_at = models.DateTimeField(null=True, editable=False)  # when a figure last changed
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        # Progress, lease and counts have no index on purpose: an index on a column that every
        # heartbeat changes ends HOT updates.
        indexes: ClassVar = [
            # claims.pick, keeper: what waits in a queue, oldest first
            models.Index(
                name="job_pending",
                fields=["queue", "priority", "created_at"],
                condition=models.Q(state="pending"),
            ),
            # claims.pick (slots in use), keeper.rescue, stability: the few rows that run
            models.Index(
                name="job_running",
                fields=["queue", "source", "limit_key"],
                condition=models.Q(state="running"),
            ),
            # stability: is anything active, of all, of a source, about an object?
            models.Index(name="job_active", fields=["source", "object"], condition=ACTIVE),
            # "what of mine is open", home page, user stream
            models.Index(
                name="job_open_of_owner",
                fields=["owner", "id"],
                condition=models.Q(state__in=OPEN),
            ),
            # lists: mine, newest first (uuid7 sorts by time)
            models.Index(name="job_of_owner", fields=["owner", "-id"]),
            # `ready` of an object: is anything about it open?
            models.Index(
                name="job_open_of_object",
                fields=["object"],
                condition=models.Q(state__in=OPEN),
            ),
            # what its members see, and the last job of an object
            models.Index(
                name="job_of_object", fields=["object", "-id"], condition=models.Q(object__isnull=False)
            ),
            # overview: failures of a day by cause; dead letters. Few rows of many
            models.Index(
                name="job_undone",
                fields=["finished_at"],
                condition=models.Q(state__in=["failed", "partial"]),
            ),
            # keeper.prune
            models.Index(
                name="job_finished", fields=["finished_at"], condition=models.Q(finished_at__isnull=False)
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="job_finished_iff_final",
                condition=models.Q(state__in=OPEN, finished_at__isnull=True)
                | models.Q(state__in=FINAL, finished_at__isnull=False),
            ),
            models.CheckConstraint(
                name="job_leased_iff_running",
                condition=models.Q(state="running", lease_token__isnull=False, lease_until__isnull=False)
                | (~models.Q(state="running") & models.Q(lease_token__isnull=True, lease_until__isnull=True)),
            ),
            models.CheckConstraint(
                name="job_reason_iff_pending",
                condition=(models.Q(state="pending") & ~models.Q(pending_reason=""))
                | (~models.Q(state="pending") & models.Q(pending_reason="")),
            ),
            models.CheckConstraint(
                name="job_waits_for_something",
                condition=models.Q(state="waiting", waiting_for__isnull=False)
                | (~models.Q(state="waiting") & models.Q(waiting_for__isnull=True)),
            ),
            models.CheckConstraint(
                name="job_failed_says_why",
                condition=~models.Q(state="failed") | models.Q(error__isnull=False),
            ),
            models.CheckConstraint(
                name="job_counts_add_up",
                condition=models.Q(
                    items_total__gte=models.F("items_done")
                    + models.F("items_failed")
                    + models.F("items_skipped")
                ),
            ),
            models.CheckConstraint(
                name="job_progress_is_a_share",
                condition=models.Q(progress__gte=0.0, progress__lte=1.0),
            ),
            models.UniqueConstraint(
                name="job_one_open_per_key",
                fields=["source", "unique_key"],
                condition=models.Q(state__in=OPEN, unique_key__isnull=False),
            ),
            models.UniqueConstraint(
                name="job_one_open_retry",
                fields=["retry_of"],
                condition=models.Q(state__in=OPEN, retry_of__isnull=False),
            ),
        ]
        permissions: ClassVar = [
            ("view_all_jobs", "Can see everybody's jobs by name"),
            ("operate", "Can act on everybody's jobs, pause and resume"),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.state})"

    @property
    def stream(self) -> str:
        """Return the name of this job's stream."""
        return f"job:{self.pk}"

    @property
    def is_final(self) -> bool:
        """Say whether the job has ended for good."""
        return self.state in FINAL

    @property
    def leaves_work(self) -> bool:
        """Say whether the job has ended with something undone that a retry would do."""
        if self.state == State.PARTIAL:  # without a failed item its source left out what could not be used
            return self.items_failed > 0
        return self.state in (State.FAILED, State.CANCELLED)

    @property
    def detail(self) -> str:
        """Return the subject, unless the title has it in it."""
        return "" if self.subject in self.title else self.subject

    @property
    def name(self) -> str:
        """Return title and subject in one line."""
        return f"{self.title} {self.detail}".rstrip()

    def get_absolute_url(self) -> str:
        """Return the path of the job's page."""
        return reverse("ingestion:job", args=[self.pk])


class JobNeed(models.Model):
    """`job` may start only when `parent` has ended well."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="need_rows")
    parent = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="dependant_rows")
    strict = models.BooleanField(default=False)  # completed only; otherwise partial will do

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(name="jobneed_once", fields=["job", "parent"])]

    def __str__(self) -> str:
        return f"{self.job_id} needs {self.parent_id}"


class JobItem(models.Model):
    """One unit of a job with its own outcome."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="items")
    step = models.CharField(max_length=50)
    key = models.CharField(max_length=300)
    label = models.CharField(max_length=300, blank=True)
    ordinal = models.PositiveIntegerField()
    state = models.CharField(max_length=11, choices=ItemState, default=ItemState.PENDING)
    error_code = models.CharField(max_length=50, blank=True, default="")
    error = models.CharField(max_length=500, blank=True, default="")
    tries = models.PositiveSmallIntegerField(default=0)
    crashes = models.PositiveSmallIntegerField(default=0)
    result = models.JSONField(null=True)
    url = models.CharField(max_length=500, blank=True, default="")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    version = models.PositiveBigIntegerField(default=0)  # the job's when this item last changed

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="jobitem_once", fields=["job", "step", "key"]),
        ]
        indexes: ClassVar = [
            # item tables, filtered by state, in order
            models.Index(name="jobitem_in_order", fields=["job", "state", "ordinal"]),
            # dead letters: which jobs set something aside
            models.Index(name="jobitem_set_aside", fields=["job"], condition=models.Q(state="quarantined")),
            # the live delta: what changed since a version
            models.Index(name="jobitem_since", fields=["job", "version"]),
        ]

    def __str__(self) -> str:
        return f"{self.key} ({self.state})"


class JobEvent(models.Model):
    """A line of a job's history; `version` is the job's number at which it happened."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    version = models.PositiveBigIntegerField()
    at = models.DateTimeField(db_default=Now())
    level = models.CharField(max_length=7, choices=Level, default=Level.INFO)
    kind = models.CharField(max_length=30)
    message = models.CharField(max_length=500)
    data = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(name="jobevent_once", fields=["job", "version"])]

    def __str__(self) -> str:
        return self.message


class JobAttempt(models.Model):
    """One start of a job by a worker."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    worker = models.CharField(max_length=100)
    rq_id = models.CharField(max_length=64, blank=True, default="")
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=20, blank=True, default="")
    traceback = models.TextField(blank=True, default="")
    stats = models.JSONField(default=dict)

    class Meta:
        indexes: ClassVar = [
            # status page: workers that were lost lately; seldom written
            models.Index(
                name="jobattempt_lost",
                fields=["ended_at"],
                condition=models.Q(outcome__in=["lost", "crashed"]),
            ),
            # the crash brake: what was started lately
            models.Index(name="jobattempt_started", fields=["started_at"]),
        ]
        constraints: ClassVar = [models.UniqueConstraint(name="jobattempt_once", fields=["job", "number"])]

    def __str__(self) -> str:
        return f"attempt {self.number}"
