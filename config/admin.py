"""The audit log in the admin: read, and nothing else."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from config.admin_lists import ReadOnlyAdmin
from config.audit import ACTIONS
from config.models import AuditLog
from ingestion.access import can_view_all


class ActionFilter(admin.SimpleListFilter):
    """By action, from the code: no query."""

    title, parameter_name = "action", "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer every action there is."""
        return list(ACTIONS.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Apply."""
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(AuditLog)
class AuditLogAdmin(ReadOnlyAdmin):
    """Who did what to what, from where. Seen with `view_all_jobs`; nobody adds, changes or deletes."""

    list_display = ("at", "actor", "action", "target", "via", "address")
    list_filter = (ActionFilter,)
    search_fields = ("=target", "=request_id")
    search_help_text = "A whole target (job:<id>, user:7) or request id"
    ordering = ("-pk",)
    fields = ("at", "actor", "action", "target", "details", "via", "address", "request_id")
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say who may look."""
        return can_view_all(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Say who finds it on the index."""
        return self.has_view_permission(request)
