"""What our lists in the admin share: bounded, by permission, within our CSP."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from config.admin_lists import ReadOnlyAdmin
from ingestion.access import can_operate, can_view_all

MAX_ACTED = 500  # rows that one action may touch

admin.site.site_header = admin.site.site_title = "Headway"
admin.site.index_title = "Operations"


class OperatorAdmin(ReadOnlyAdmin):
    """Seen with `view_all_jobs`, acted on with `operate`; bounded lists."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say who may look."""
        return can_view_all(request.user) or can_operate(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Say who finds it on the index."""
        return self.has_view_permission(request)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Say who may run the actions."""
        return can_operate(request.user)
