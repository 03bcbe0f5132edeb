"""Companies, their tickers and filings, for operators to look at; what is wrong is mended by another look."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from config.admin_forms import SpokenInline
from ingestion import lifecycle
from ingestion.admin.base import MAX_ACTED, OperatorAdmin
from ingestion.admission import Refused
from ingestion.sources.companies import due
from ingestion.sources.companies.models import Company, Filing, FormerName, Ticker
from ingestion.sources.companies.source import Companies


class FormerNameInline(SpokenInline):
    """What a company was called before."""

    model = FormerName
    fields = readonly_fields = ("name", "since", "until")
    extra = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Seen with the company."""
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds by hand."""
        return False


@admin.register(Company)
class CompanyAdmin(OperatorAdmin):
    """The companies that are here."""

    list_display = ("name", "cik", "category", "sic_description", "checked_at")
    search_fields = ("name", "=cik")
    ordering = ("-pk",)
    inlines = (FormerNameInline,)
    actions = ("look_again",)

    @admin.action(description="Look for new filings", permissions=["operate"])
    def look_again(self, request: HttpRequest, queryset: QuerySet[Company]) -> None:
        """Start an ingestion of each, or join the one that runs."""
        started = 0
        for company in queryset.order_by("pk")[:MAX_ACTED]:
            try:
                lifecycle.create(Companies.kind, {"ticker": due.symbol_of(company)}, owner=request.user)
            except Refused as refused:
                self.message_user(request, refused.message, messages.WARNING)
                break
            started += 1
        self.message_user(request, f"{started} asked for.")


@admin.register(Ticker)
class TickerAdmin(OperatorAdmin):
    """Whose each ticker is, of all that the SEC lists."""

    list_display = ("symbol", "cik", "name", "exchange", "rank", "listed", "reported")
    list_filter = ("listed", "reported")
    search_fields = ("symbol__startswith", "=cik")
    ordering = ("symbol", "pk")


@admin.register(Filing)
class FilingAdmin(OperatorAdmin):
    """The filings that are known, and which of them have their text here."""

    list_display = ("accession", "form", "fiscal_year", "filing_date", "status", "characters")
    list_filter = ("status", "form")
    list_select_related = ("amends",)
    search_fields = ("=accession",)
    ordering = ("-pk",)
    filter_horizontal = ()
    raw_id_fields = ("amends", "companies")
