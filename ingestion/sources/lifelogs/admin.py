"""Accounts, days and items, for operators to look at. No key is shown, nor what was said."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from ingestion.admin.base import MAX_ACTED, OperatorAdmin
from ingestion.sources.lifelogs import accounts
from ingestion.sources.lifelogs.models import Account, DataItem, Day

BY_OPERATOR = "An operator paused it."


@admin.register(Account)
class AccountAdmin(OperatorAdmin):
    """Whose accounts there are, and whether they are synced."""

    list_display = ("label", "owner", "service", "zone", "status", "is_sample", "synced_from")
    list_filter = ("status", "service", "is_sample")
    list_select_related = ("owner",)
    search_fields = ("=owner__username", "label__startswith")
    ordering = ("-pk",)
    # Not the key, nor the fingerprint by which it could be recognised.
    fields = ("owner", "label", *list_display[2:], "reason", "version", "created_at")
    actions = ("pause", "resume")

    @admin.action(description="Pause", permissions=["operate"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        """Ask no service for these any more."""
        rows = queryset.order_by("pk")[:MAX_ACTED]
        count = sum(accounts.pause(one, BY_OPERATOR) for one in rows)
        self.message_user(request, f"{count} paused.")

    @admin.action(description="Resume", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        """Let those go on that an operator paused."""
        rows = queryset.filter(reason=BY_OPERATOR).order_by("pk")[:MAX_ACTED]  # not those whose owner did
        count = sum(accounts.resume(one) for one in rows)
        self.message_user(request, f"{count} go on.", messages.SUCCESS)


@admin.register(Day)
class DayAdmin(OperatorAdmin):
    """The days that were looked at, and which are complete."""

    list_display = ("date", "account", "ingestion_status", "items_count", "version", "walked_at", "trouble")
    list_filter = ("ingestion_status",)
    list_select_related = ("account",)
    search_fields = ("=account__owner__username", "=date")
    ordering = ("-pk",)
    fields = (*list_display, "completed_at", "completed_version")


@admin.register(DataItem)
class DataItemAdmin(OperatorAdmin):
    """What was brought: how much and when, not what was said, which is its owner's alone."""

    list_display = ("key", "account", "day", "ingestion_status", "started_at", "day_version", "deleted_at")
    list_filter = ("ingestion_status",)
    list_select_related = ("account", "day")
    search_fields = ("=key",)
    ordering = ("-pk",)
    fields = (*list_display, "ended_at", "first_version", "digest", "created_at", "updated_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the items without what was said."""
        return super().get_queryset(request).defer("title", "markdown", "contents")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return an item without what it tells, so that its name is its key."""
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.title = ""
        return found
