"""Filters of the admin's lists. None of them asks for all rows."""

from collections import Counter
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ingestion.models import Job
from ingestion.source import QUEUES, registry

RECENT = 1000  # jobs among which the owners to filter by are looked for
MAX_OWNERS = 20


class SourceFilter(admin.SimpleListFilter):
    """By source, from the registry: no query."""

    title, parameter_name = "source", "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the registered sources."""
        return [(kind, source.label) for kind, source in registry().items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Apply."""
        return queryset.filter(source=self.value()) if self.value() else queryset


class QueueFilter(admin.SimpleListFilter):
    """By queue."""

    title, parameter_name = "queue", "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the queues."""
        return [(queue, queue) for queue in QUEUES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Apply."""
        return queryset.filter(queue=self.value()) if self.value() else queryset


class OwnerFilter(admin.SimpleListFilter):
    """By owner: those of the newest jobs, for there may be very many users."""

    title, parameter_name = "owner", "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the owners of recent jobs, and the one chosen."""
        recent = Job.objects.order_by("-pk").values_list("owner__username", flat=True)[:RECENT]
        names = [name for name, _ in Counter(filter(None, recent)).most_common(MAX_OWNERS)]
        chosen = request.GET.get(self.parameter_name)
        if chosen and chosen not in names:
            names.append(chosen)
        return [(name, name) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Apply."""
        return queryset.filter(owner__username=self.value()) if self.value() else queryset
