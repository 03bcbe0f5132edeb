"""Topics, and what judged articles and how often, for operators; not what is written there."""

from django.contrib import admin

from ingestion.admin.base import OperatorAdmin
from ingestion.sources.articles.models import Analysis, ServiceCalls, Topic


@admin.register(Topic)
class TopicAdmin(OperatorAdmin):
    """Which topics there are."""

    list_display = ("name", "created_by", "threshold", "created_at", "collected_at", "checked_at")
    list_select_related = ("created_by",)
    search_fields = ("=created_by__username", "name__startswith")
    ordering = ("-pk",)
    fields = (*list_display, "version")
    view_on_site = False  # its page is for members


@admin.register(Analysis)
class AnalysisAdmin(OperatorAdmin):
    """What was judged how, and by which model."""

    list_display = ("pk", "topic", "relevance", "sentiment", "model", "analysed_at", "kept_at")
    list_select_related = ("topic",)
    search_fields = ("=topic__name",)
    ordering = ("-pk",)
    fields = (*list_display[1:], "notes", "job")
    view_on_site = False


@admin.register(ServiceCalls)
class ServiceCallsAdmin(OperatorAdmin):
    """How many articles the service was asked about on a day, in UTC."""

    list_display = ("day", "calls")
    ordering = ("-day",)
    fields = list_display
