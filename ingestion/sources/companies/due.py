"""Which companies were not looked at for a while, and by what name a job asks for one."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import F, Q, QuerySet

from ingestion.clock import ClockTimestamp
from ingestion.models import OPEN, Job
from ingestion.sources.companies.models import Company, Ticker
from ingestion.sources.companies.sample import standin


def companies(age: timedelta) -> QuerySet[Company]:
    """Return those not checked for so long that nobody ingests now, the longest first."""
    working = Job.objects.filter(state__in=OPEN, object__startswith="company:").values_list(
        "object", flat=True
    )
    busy = [int(name.partition(":")[2]) for name in working if name]
    old = Q(checked_at=None) | Q(checked_at__lt=ClockTimestamp() - age)
    found = Company.objects.filter(old).exclude(pk__in=busy).exclude(cik__in=standin.CIKS)
    return found.order_by(F("checked_at").asc(nulls_first=True), "pk")


def symbol_of(company: Company) -> str:
    """Return the ticker of a company that most know it by, or its CIK where it has none."""
    return symbols_of([company])[company.cik]


def symbols_of(companies: Iterable[Company]) -> dict[int, str]:
    """Return by CIK, in one query, by what name to ask for each of these companies."""
    ciks = [company.cik for company in companies]
    known = Ticker.objects.filter(Q(listed=True) | Q(reported=True), cik__in=ciks)
    found = {cik: f"CIK{cik}" for cik in ciks}
    best_last = known.order_by(F("rank").desc(nulls_first=True), "-symbol")
    return found | dict(best_last.values_list("cik", "symbol"))
