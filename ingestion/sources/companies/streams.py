"""The stream `company:<pk>`: which filings there are and how far each is. Every signed-in user may see it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.contrib.postgres.aggregates import JSONBAgg
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import JSONObject

from ingestion.sources.companies.models import Company
from notifications import abouts
from realtime import streams
from realtime.publish import publish
from realtime.streams import Reading

MAX_FILINGS = 60  # in the stream; a page refetches its table


def register() -> None:
    """Make the stream known, and what a followed company is called."""
    streams.register(streams.Kind(name="company", visible=_visible, versions=_versions, read=_read))
    abouts.register("company", _named)


def touch(stream: str) -> None:
    """Have open pages of a company look again: one of its jobs came or ended."""
    pk = int(stream.partition(":")[2])
    with transaction.atomic():
        rows = Company.objects.filter(pk=pk)
        if rows.update(version=F("version") + 1, turns=F("turns") + 1):
            publish(stream, rows.values_list("version", flat=True).get())


def _visible(user: Any, keys: Iterable[str]) -> set[str]:
    if not (user.is_authenticated and user.is_active):
        return set()
    return {
        str(pk) for pk in Company.objects.filter(pk__in=streams.numbers(keys)).values_list("pk", flat=True)
    }


def _versions(keys: Iterable[str]) -> dict[str, int]:
    rows = Company.objects.filter(pk__in=streams.numbers(keys))
    return {str(pk): version for pk, version in rows.values_list("pk", "version")}


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
    rows = Company.objects.filter(pk__in=streams.numbers(since)).annotate(found=found)
    return {str(row.pk): Reading(version=row.version, data=_data(row), events=[]) for row in rows}


def _data(company: Any) -> dict[str, Any]:
    filings = {one.pop("accession"): one for one in company.found}
    return {
        "name": company.name,
        "cik": company.cik,
        "turns": company.turns,  # pages draw anew what differs, and a job that ends may change nothing else
        "checked_at": company.checked_at.isoformat() if company.checked_at else None,
        "filings_total": len(filings),
        "filings_complete": sum(one["status"] == "complete" for one in filings.values()),
        "filings": dict(list(filings.items())[:MAX_FILINGS]),
    }


def _named(user: Any, keys: Collection[str]) -> Mapping[str, tuple[str, str]]:
    rows = Company.objects.filter(pk__in=streams.numbers(keys))
    return {str(company.pk): (company.name, company.get_absolute_url()) for company in rows}
