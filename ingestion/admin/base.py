"""What our lists in the admin share: bounded, by permission, within our CSP."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from ingestion.access import can_operate, can_view_all

PAGE = 50
MAX_COUNTED = 10_000  # rows that a list counts and pages through; filters find what lies behind
MAX_ACTED = 500  # rows that one action may touch

admin.site.site_header = admin.site.site_title = "Headway"
admin.site.index_title = "Operations"


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than a list is paged."""

    @cached_property
    def count(self) -> int:
        """Count the rows, at most so many."""
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows[:MAX_COUNTED].count()


class OperatorAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Seen with `view_all_jobs`, acted on with `operate`; bounded lists."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each would be a count over everything
    list_per_page = PAGE
    list_max_show_all = 0
    sortable_by = ()
    actions_on_top = True  # without any, Django prints an inline style that our CSP refuses

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say who may look."""
        return can_view_all(request.user) or can_operate(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Say who finds it on the index."""
        return self.has_view_permission(request)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Say who may run the actions."""
        return can_operate(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes by hand."""
        return False
