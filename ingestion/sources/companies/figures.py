"""The figures that a company's page shows: by year for the chart, and the latest as a list."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.db.models import Count

from ingestion.sources.companies.models import Company, Fact

# What each figure is called by filers, the usual name first. (US GAAP and IFRS taxonomies)
REVENUE = (
    "us-gaap:RevenueFromContractWithCustomerExcludingAssessedTax",
    "us-gaap:Revenues",
    "us-gaap:SalesRevenueNet",
    "us-gaap:RevenueFromContractWithCustomerIncludingAssessedTax",
    "ifrs-full:Revenue",
)
NET_INCOME = ("us-gaap:NetIncomeLoss", "us-gaap:ProfitLoss", "ifrs-full:ProfitLoss")
ASSETS = ("us-gaap:Assets", "ifrs-full:Assets")
LATEST = (
    ("Revenue", REVENUE),
    ("Operating income", ("us-gaap:OperatingIncomeLoss", "ifrs-full:ProfitLossFromOperatingActivities")),
    ("Net income", NET_INCOME),
    ("Diluted EPS", ("us-gaap:EarningsPerShareDiluted", "ifrs-full:DilutedEarningsLossPerShare")),
    ("Total assets", ASSETS),
)
YEAR_DAYS = (timedelta(days=340), timedelta(days=380))  # of a year of 52 or 53 weeks, too
_SCALES = ((Decimal(10) ** 9, "bn"), (Decimal(10) ** 6, "m"), (Decimal(10) ** 3, "k"))


@dataclass(frozen=True)
class Year:
    """What a fiscal year brought; None is not known, never zero."""

    year: int
    revenue: Decimal | None
    net_income: Decimal | None
    unit: str


def currency(company: Company) -> str:
    """Return the currency that most periods are told in; empty when nothing is known.

    Foreign filers tell some figures in dollars as well, for the convenience of readers: of two currencies
    that are told alike it is the other one.
    """
    rows = company.facts.filter(concept__in=(*REVENUE, *NET_INCOME, *ASSETS)).values_list("unit")
    told = rows.annotate(ends=Count("end", distinct=True)).order_by()
    return max(((ends, unit != "USD", unit) for unit, ends in told), default=(0, False, ""))[2]


def by_period(company: Company, concepts: Sequence[str], unit: str) -> dict[date, Fact]:
    """Return a year's or a day's figure by the end of its period: of the first concept that has it.

    A period that two reports tell of is told by the later filed one. unit: the currency, also of what is
    told by share.
    """
    rows = company.facts.filter(concept__in=concepts, unit__in=(unit, f"{unit}/shares")).order_by("pk")
    told: dict[tuple[str, date], Fact] = {}
    for fact in sorted(rows, key=lambda one: _filed(one.accession)):
        if fact.start is None or YEAR_DAYS[0] <= fact.end - fact.start <= YEAR_DAYS[1]:
            told[(fact.concept, fact.end)] = fact
    return {end: told[(concept, end)] for concept in reversed(concepts) for c, end in told if c == concept}


def years(company: Company, periods: Iterable[tuple[int, date | None]]) -> list[Year]:
    """Return revenue and net income of these (year, end of period), the oldest first."""
    told_in = currency(company)
    revenue, income = by_period(company, REVENUE, told_in), by_period(company, NET_INCOME, told_in)
    found = []
    for year, end in periods:
        gained = revenue.get(end) if end else None
        left = income.get(end) if end else None
        unit = next((one.unit for one in (gained, left) if one), "")
        found.append(Year(year, gained.value if gained else None, left.value if left else None, unit))
    return sorted(found, key=lambda one: one.year)


def latest(company: Company, end: date | None) -> list[tuple[str, str]]:
    """Return (name, figure in words) of what is known at the end of a period."""
    told_in, found = currency(company), []
    for name, concepts in LATEST:
        fact = by_period(company, concepts, told_in).get(end) if end else None
        if fact is not None:
            found.append((name, in_words(fact.value, fact.unit)))
    return found


def in_words(value: Decimal, unit: str) -> str:
    """Return a figure as people say it: $281.7 bn, 12.3 m EUR, $13.64 of USD/shares."""
    size = abs(value)
    scale, word = next(((one, text) for one, text in _SCALES[:2] if size >= one), (Decimal(1), ""))
    money, _, per = unit.partition("/")
    digits = f"{size / scale:,.1f} {word}" if word else f"{size:,.2f}" if per else f"{size:,.0f}"
    sign = "-" if value < 0 else ""
    return f"{sign}${digits}" if money == "USD" else f"{sign}{digits} {money}"


def _filed(accession: str) -> tuple[int, str]:
    """Order accession numbers by year, then by number: 0000000007-98-000001 is of 1998."""
    year = int(accession[11:13])
    return (year if year < 90 else year - 100, accession)
