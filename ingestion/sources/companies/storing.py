"""What a company is and has filed, written so that doing it again changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, Q

from ingestion.clock import ClockTimestamp
from ingestion.sources.companies import reports, tickers
from ingestion.sources.companies.models import Company, Filing, FormerName, Passage
from ingestion.sources.companies.reports import Report
from ingestion.sources.companies.sections import Part
from ingestion.sources.companies.submissions import Filer, Row

_OF_FILER = (
    "name",
    "entity_type",
    "category",
    "sic",
    "sic_description",
    "fiscal_year_end",
    "ein",
    "state",
    "website",
)


@dataclass(frozen=True)
class Text:
    """What was read of a filing: from which address, in parts."""

    filing: int
    url: str
    parts: list[Part]


def save_company(filer: Filer) -> Company:
    """Write who a filer is, its names and its tickers."""
    values = {name: getattr(filer, name) for name in _OF_FILER}
    with transaction.atomic():
        Company.objects.bulk_create(
            [Company(cik=filer.cik, **values)],
            update_conflicts=True,
            unique_fields=["cik"],
            update_fields=list(_OF_FILER),
        )
        company = Company.objects.select_for_update(no_key=True).get(cik=filer.cik)
        tickers.report(company, filer.tickers)
        _save_names(company, filer)
    return company


def save_reports(company: Company, found: Sequence[Report]) -> list[int]:
    """Write reports and amendments as known, in the order given; return the ids of the reports."""
    with transaction.atomic():
        rows = [row for report in found for row in (report.row, *report.amendments)]
        Filing.objects.bulk_create(
            sorted((_filing(company, row) for row in rows), key=lambda one: one.accession),
            ignore_conflicts=True,
        )
        ids = dict(
            Filing.objects.filter(accession__in=[row.accession for row in rows]).values_list(
                "accession", "pk"
            )
        )
        company.filings.add(*ids.values())
        for report in found:
            amendments = [ids[row.accession] for row in report.amendments]
            Filing.objects.filter(pk__in=amendments).update(
                amends=ids[report.row.accession], fiscal_year=_year(company, report.row)
            )
        Company.objects.filter(pk=company.pk).update(checked_at=ClockTimestamp())
    return [ids[report.row.accession] for report in found]


def save_text(text: Text | None) -> int:
    """Write the text of a filing and call it complete; return how many characters that were.

    What somebody else wrote meanwhile stays: the same document.
    """
    if text is None:
        return 0
    rows = Filing.objects.filter(pk=text.filing, status=Filing.Status.PARTIAL)
    if rows.select_for_update().first() is None:
        return 0
    size = sum(len(part.text) for part in text.parts)
    Passage.objects.bulk_create(
        Passage(
            filing_id=text.filing,
            ordinal=n,
            item=part.item,
            title=part.title,
            text=part.text,
            digest=part.digest,
        )
        for n, part in enumerate(text.parts)
    )
    rows.update(status=Filing.Status.COMPLETE, url=text.url, characters=size, completed_at=ClockTimestamp())
    return size


def in_order(report_ids: Sequence[int]) -> list[Filing]:
    """Return these reports in the order given, after each what amends it, the first filed first."""
    rows = Filing.objects.filter(Q(pk__in=report_ids) | Q(amends__in=report_ids))
    found: dict[int, list[Filing]] = {pk: [] for pk in report_ids}
    for filing in rows.order_by(F("amends").asc(nulls_first=True), "filing_date", "pk"):
        found[filing.amends_id or filing.pk].append(filing)
    return [filing for filings in found.values() for filing in filings]


def _save_names(company: Company, filer: Filer) -> None:
    kept = {(one.name, one.since) for one in filer.former_names}
    gone = [one.pk for one in company.former_names.all() if (one.name, one.since) not in kept]
    FormerName.objects.filter(pk__in=gone).delete()
    FormerName.objects.bulk_create(
        [
            FormerName(company=company, name=one.name, since=one.since, until=one.until)
            for one in filer.former_names
        ],
        ignore_conflicts=True,
    )


def _filing(company: Company, row: Row) -> Filing:
    return Filing(
        accession=row.accession,
        form=row.form,
        filing_date=row.filing_date,
        report_date=row.report_date,
        fiscal_year=_year(company, row),
        primary_document=row.primary_document,
        description=row.description,
    )


def _year(company: Company, row: Row) -> int:
    return reports.fiscal_year(row, company.fiscal_year_end)
