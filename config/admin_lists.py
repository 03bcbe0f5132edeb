"""What lists in the admin share: bounded, within our CSP."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.paginator import Paginator
from django.db.models import DateTimeField, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from config.admin_audit import AuditedAdmin
from config.admin_forms import SpokenDateTime, plain_form

PAGE = 50
MAX_COUNTED = 10_000  # rows that a list counts and pages through; filters find what lies behind


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than a list is paged."""

    @cached_property
    def count(self) -> int:
        """Count the rows, at most so many."""
        rows: QuerySet[object] = self.object_list  # type: ignore[assignment,type-var]
        return rows[:MAX_COUNTED].count()


class WellAskedAdmin(AuditedAdmin):
    """A list that is asked for what a column can hold, and a form whose fields have names."""

    formfield_overrides = {DateTimeField: {"widget": SpokenDateTime}}

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form, its texts under the rule for texts."""
        return plain_form(super().get_form(request, obj, change=change, **kwargs))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Treat a filter by NUL, which PostgreSQL takes in no text, as Django does other nonsense."""
        if any("\0" in one for _, values in request.GET.lists() for one in values):
            raise IncorrectLookupParameters
        return super().get_changelist_instance(request)


class BoundedAdmin(WellAskedAdmin):
    """A list that costs the same however many rows there are."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each would be a count over everything
    list_per_page = PAGE
    list_max_show_all = 0
    sortable_by = ()
    actions_on_top = True  # without any, Django prints an inline style that our CSP refuses


class ReadOnlyAdmin(BoundedAdmin):
    """A list of what the system writes: people read it."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes by hand."""
        return False
