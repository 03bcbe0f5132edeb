"""Jobs in the admin: found, looked at, cancelled, retried. Only the verbs move them."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import BooleanField, Case, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html

from ingestion import bulk, lifecycle, serializers, words
from ingestion.admin.base import MAX_ACTED, OperatorAdmin
from ingestion.admin.filters import OwnerFilter, QueueFilter, SourceFilter
from ingestion.models import ItemState, Job, State

MAX_NAMED = 20  # jobs that a preview names
MAX_EVENTS = 100
MAX_ATTEMPTS = 50
MAX_ITEMS = 50

_READ_ONLY = (
    ("id", "source", "queue", "title", "subject", "object", "owner", "priority"),
    ("status", "state", "pending_reason", "run_after", "waiting_for", "message", "error"),
    ("share", "items_total", "items_done", "items_failed", "items_skipped", "rate", "eta_seconds"),
    ("attempt", "failures", "crashes", "lease_until", "cancel_requested_at", "cancel_requested_by"),
    ("created_at", "started_at", "progress_at", "finished_at", "retry_of", "version", "params", "result_url"),
)
_HEADS = ("What", "State", "Progress", "Attempts", "Times and parameters")


@admin.register(Job)
class JobAdmin(OperatorAdmin):
    """Jobs: found, looked at, cancelled, retried."""

    list_display = ("id", "what", "source", "queue", "owner", "status", "share", "created_at", "finished_at")
    list_filter = ("state", SourceFilter, QueueFilter, OwnerFilter)
    list_select_related = ("owner",)
    ordering = ("-id",)
    search_fields = ("id", "subject")
    search_help_text = "A whole id, or a part of the subject or title"
    actions = ("cancel_jobs", "retry_jobs")
    fieldsets = [(head, {"fields": names}) for head, names in zip(_HEADS, _READ_ONLY, strict=True)]
    readonly_fields = tuple(name for names in _READ_ONLY for name in names)
    change_form_template = "admin/ingestion/job/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Leave out what is large and not shown."""
        return super().get_queryset(request).defer("memo", "result", "steps")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        """Find by id, or by a part of subject or title."""
        term = search_term.replace("\0", "").strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(pk=UUID(term)), False
        except ValueError:
            return queryset.filter(Q(subject__icontains=term) | Q(title__icontains=term)), False

    def view_on_site(self, obj: Job) -> str:
        """Return the job's page."""
        return obj.get_absolute_url()

    @admin.display(description="what")
    def what(self, job: Job) -> str:
        """Return title and subject."""
        return job.name

    @admin.display(description="status")
    def status(self, job: Job) -> str:
        """Return the word that pages and terminal use too."""
        status = serializers.display(job, timezone.now())
        return format_html('<span data-status="{}">{}</span>', status, words.word(status))

    @admin.display(description="progress")
    def share(self, job: Job) -> str:
        """Return how far it is."""
        return f"{job.progress:.0%}"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a job with its attempts, history and items."""
        try:
            job = Job.objects.filter(pk=UUID(object_id)).first()
        except ValueError:
            job = None
        context = {} if job is None or not self.has_view_permission(request) else _history(job)
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    @admin.action(permissions=["operate"], description="Cancel")
    def cancel_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse | None:
        """Cancel the chosen jobs."""
        return self._act(request, queryset, "cancel", lifecycle.cancel)

    @admin.action(permissions=["operate"], description="Retry: do what is left in a new job")
    def retry_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse | None:
        """Retry the chosen jobs."""
        return self._act(request, queryset, "retry", lifecycle.retry)

    def _act(
        self, request: HttpRequest, queryset: QuerySet[Job], name: str, verb: Callable[[Job, Any], Any]
    ) -> HttpResponse | None:
        if request.POST.get("confirmed") != "yes":
            return self._preview(request, queryset, name)
        # What was previewed, also where it no longer matches the list's filter.
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)[:MAX_ACTED]
        done = bulk.in_a_request()
        for job in Job.objects.filter(pk__in=chosen).order_by("pk"):
            done.one(partial(verb, job, request.user))
        past = {"cancel": "cancelled or asked to stop", "retry": "retried"}[name]
        if done.count:
            self.message_user(request, f"{done.count:,} of {len(chosen):,} {past}.", messages.SUCCESS)
        for text in done.reasons():
            self.message_user(request, text, messages.WARNING)
        return None

    def _preview(self, request: HttpRequest, queryset: QuerySet[Job], name: str) -> HttpResponse:
        columns = ("id", "title", "subject", "state")
        jobs = list(queryset.select_related(None).order_by("-pk").only(*columns)[: MAX_ACTED + 1])
        more = len(jobs) > MAX_ACTED
        jobs = jobs[:MAX_ACTED]
        possible = sum(job.is_final and job.state != State.COMPLETED for job in jobs)
        if name == "cancel":
            possible = sum(not job.is_final for job in jobs)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{name.capitalize()} {len(jobs):,} {'job' if len(jobs) == 1 else 'jobs'}?",
            "opts": self.opts,
            "jobs": jobs,
            "named": jobs[:MAX_NAMED],
            "unnamed": max(0, len(jobs) - MAX_NAMED),
            "possible": possible,
            "most": MAX_ACTED if more else None,
            "verb": name,
            "action": f"{name}_jobs",
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/ingestion/job/confirm.html", context)


def _history(job: Job) -> dict[str, Any]:
    bad = Case(
        When(state__in=(ItemState.FAILED, ItemState.QUARANTINED), then=Value(False)),
        default=Value(True),
        output_field=BooleanField(),
    )
    events = list(job.events.order_by("-version")[: MAX_EVENTS + 1])
    return {
        "attempts": job.attempts.order_by("-number")[:MAX_ATTEMPTS],
        "events": events[:MAX_EVENTS],
        "more_events": len(events) > MAX_EVENTS,
        "items": job.items.order_by(bad, "ordinal", "pk").defer("result")[:MAX_ITEMS],
        "more_items": max(0, job.items_total - MAX_ITEMS),
        "retries": job.retries.order_by("-pk").only("id", "state", "title")[:MAX_NAMED],
    }
