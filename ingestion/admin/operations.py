"""Schedules and pauses, which operators change, and what they only look at."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest

from config.admin_lists import PAGE, BoundedAdmin
from config.fields import Line, Plain
from ingestion import maintenance, pauses, schedules, tokens
from ingestion.access import can_operate
from ingestion.admin.base import MAX_ACTED, OperatorAdmin
from ingestion.admin.filters import QueueFilter, SourceFilter
from ingestion.admission import Refused
from ingestion.models import ApiToken, Pause, Process, Schedule, Upload
from ingestion.queues import LIVE_WITHIN
from ingestion.schedule_form import ScheduleForm


class ManagedAdmin(OperatorAdmin):
    """What operators add, change and delete."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say who may add."""
        return can_operate(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say who may change."""
        return can_operate(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say who may delete."""
        return can_operate(request.user)


@admin.register(Schedule)
class ScheduleAdmin(ManagedAdmin):
    """Schedules: edited, paused, run now."""

    form = ScheduleForm
    list_display = ("name", "source", "cron", "zone", "owner", "paused", "next_at", "last_at", "last_error")
    list_filter = ("paused", SourceFilter)
    list_select_related = ("owner",)
    search_fields = ("name",)
    ordering = ("-pk",)
    raw_id_fields = ("owner",)
    readonly_fields = ("next_at", "last_at", "last_job", "last_error", "created_at")
    fields = ("name", "source", "params", "cron", "zone", "owner", "paused", *readonly_fields)
    actions = ("run_now", "pause", "resume")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Offer the operator as the owner."""
        return {"owner": request.user.pk, "zone": "UTC", **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: bool) -> None:
        """Keep it and set when it runs next."""
        schedules.put(obj)

    @admin.action(permissions=["operate"], description="Run now")
    def run_now(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Start the jobs of the chosen schedules."""
        for schedule in queryset[:PAGE]:
            try:
                started = schedules.start_once(schedule.pk)
                self.message_user(request, f"{started.name}: job {started.last_job_id}.", messages.SUCCESS)
            except Refused as refused:
                self.message_user(request, f"{schedule.name}: {refused.message}", messages.WARNING)

    @admin.action(permissions=["operate"], description="Pause")
    def pause(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Pause the chosen schedules."""
        self._pause(request, queryset, paused=True)

    @admin.action(permissions=["operate"], description="Resume")
    def resume(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Let the chosen schedules go on."""
        self._pause(request, queryset, paused=False)

    def _pause(self, request: HttpRequest, queryset: QuerySet[Schedule], *, paused: bool) -> None:
        done = 0
        for schedule in queryset[:MAX_ACTED]:
            try:
                schedules.set_paused(schedule.pk, paused)
                done += 1
            except Refused as refused:
                self.message_user(request, f"{schedule.name}: {refused.message}", messages.WARNING)
        self.message_user(request, f"{done:,} {'paused' if paused else 'resumed'}.", messages.SUCCESS)


class PauseForm(Plain, forms.ModelForm):  # type: ignore[type-arg]
    """A pause of a scope that exists."""

    class Meta:
        model = Pause
        fields = ("scope", "until", "reason")
        field_classes: ClassVar = {"scope": Line, "reason": Line}
        help_texts = {"scope": pauses.FORMS, "until": "empty: until it is deleted here"}

    def clean_scope(self) -> str:
        """Refuse a scope that would stop nothing."""
        scope: str = self.cleaned_data["scope"]
        try:
            pauses.check(scope)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        return scope


@admin.register(Pause)
class PauseAdmin(ManagedAdmin):
    """What must not start; deleting a pause ends it."""

    form = PauseForm
    list_display = ("scope", "until", "reason", "by", "created_at")
    list_select_related = ("by",)
    ordering = ("scope",)
    fields = ("scope", "until", "reason")

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        """Keep it, and who did it."""
        obj.by = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)
        maintenance.tell(obj, request.user)

    def delete_model(self, request: HttpRequest, obj: Pause) -> None:
        """End it."""
        maintenance.end(obj.scope, request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        """End them."""
        for scope in queryset.values_list("scope", flat=True):
            maintenance.end(scope, request.user)


@admin.register(Process)
class ProcessAdmin(OperatorAdmin):
    """What runs."""

    list_display = ("name", "role", "queue", "host", "pid", "started_at", "beat_at", "lives")
    list_filter = ("role", QueueFilter)
    ordering = ("role", "name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Process]:
        """Ask the database's clock who lives."""
        alive = Process.objects.alive(LIVE_WITHIN).values("pk")
        lives = Case(When(pk__in=alive, then=Value(True)), default=Value(False))
        shown: QuerySet[Process] = super().get_queryset(request).annotate(lives=lives)
        return shown

    @admin.display(boolean=True)
    def lives(self, process: Process) -> bool:
        """Say whether it has beaten lately."""
        return bool(process.lives)  # type: ignore[attr-defined]  # annotated above


class OwnedAdmin(BoundedAdmin):
    """Private rows of users: only for those whom a superuser gave Django's own permission; never changed."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes by hand."""
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(OwnedAdmin):
    """Tokens, without anything of their secrets. Deleting one revokes it."""

    list_display = ("name", "user", "scopes", "created_at", "expires_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("name", "=user__username")
    ordering = ("-pk",)
    fields = list_display

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        """Revoke one."""
        tokens.revoke([obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Revoke those chosen."""
        tokens.revoke(queryset)


@admin.register(Upload)
class UploadAdmin(OwnedAdmin):
    """Stored files, by name and size."""

    list_display = ("name", "owner", "type", "size", "created_at", "expires_at", "job")
    list_select_related = ("owner", "job")
    search_fields = ("name", "=owner__username")
    ordering = ("-id",)
    fields = (*list_display, "sha256")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes here: the file would stay."""
        return False
