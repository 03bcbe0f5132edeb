"""The stream `company:<pk>`: which filings there are and how far each is. Every signed-in user may see it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.contrib.postgres.aggregates import JSONBAgg
from django.db.models import BigIntegerField, F, Q, QuerySet
from django.db.models.functions import Coalesce, JSONObject

from config.statements import execute
from ingestion.sources.companies.models import Company
from notifications import abouts
from realtime import streams
from realtime.publish import publish
from realtime.streams import Reading

MAX_FILINGS = 60  # in the stream; a page refetches its table
_TURN = """
    INSERT INTO companies_turns (company_id, number) SELECT id, 1 FROM companies_company WHERE id = %s
    ON CONFLICT (company_id) DO UPDATE SET number = companies_turns.number + 1 RETURNING number
"""


def register() -> None:
    """Make the stream known, and what a followed company is called."""
    streams.register(streams.Kind(name="company", visible=_visible, versions=_versions, read=_read))
    abouts.register("company", _named)


def touch(stream: str) -> None:
    """Move a company's stream in this transaction: one of its jobs came or ended."""
    pk = int(stream.partition(":")[2])
    if execute(_TURN, [pk]):
        publish(stream, Company.objects.get(pk=pk).place)


def _visible(user: Any, keys: Iterable[str]) -> set[str]:
    if not (user.is_authenticated and user.is_active):
        return set()
    return {
        str(pk) for pk in Company.objects.filter(pk__in=streams.numbers(keys)).values_list("pk", flat=True)
    }


def _versions(keys: Iterable[str]) -> dict[str, int]:
    rows = _placed(Company.objects.filter(pk__in=streams.numbers(keys)))
    return {str(pk): version + turns for pk, version, turns in rows.values_list("pk", "version", "turned")}


def _read(since: Mapping[str, int | None]) -> dict[str, Reading]:
    filing = JSONObject(
        accession="filings__accession",
        form="filings__form",
        fiscal_year="filings__fiscal_year",
        status="filings__status",
    )
    found = JSONBAgg(
        filing,
        filter=Q(filings__isnull=False),
        order_by=["-filings__filing_date", "filings__accession"],
        default=[],
    )
    rows = _placed(Company.objects.filter(pk__in=streams.numbers(since))).annotate(found=found)
    return {str(row.pk): Reading(row.version + row.turned, _data(row), events=[]) for row in rows}


def _placed(rows: QuerySet[Company]) -> Any:
    """Make a query bring how often each company's jobs came or ended."""
    return rows.annotate(turned=Coalesce(F("turns__number"), 0, output_field=BigIntegerField()))


def _data(company: Any) -> dict[str, Any]:
    filings = {one.pop("accession"): one for one in company.found}
    return {
        "name": company.name,
        "cik": company.cik,
        "turns": company.turned,  # pages draw anew what differs, and a job that ends may change nothing else
        "checked_at": company.checked_at.isoformat() if company.checked_at else None,
        "filings_total": len(filings),
        "filings_complete": sum(one["status"] == "complete" for one in filings.values()),
        "filings": dict(list(filings.items())[:MAX_FILINGS]),
    }


def _named(user: Any, keys: Collection[str]) -> Mapping[str, tuple[str, str]]:
    rows = Company.objects.filter(pk__in=streams.numbers(keys))
    return {str(company.pk): (company.name, company.get_absolute_url()) for company in rows}
