"""What a company's page shows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Exists, OuterRef

from ingestion import words
from ingestion.access import can_act, visible_jobs
from ingestion.models import FINAL, OPEN, Job, JobItem, Schedule, State
from ingestion.serializers import display
from ingestion.sources.companies import charts, due, figures, reports, search
from ingestion.sources.companies.models import Company, Filing, Ticker
from ingestion.sources.companies.sample import standin
from notifications.models import Follow

MAX_FILINGS = 200  # of one page


@dataclass
class Shown:
    """A filing as a chip: where it leads, how it is, and why it failed."""

    filing: Filing
    status: str
    icon: str
    word: str
    error: str = ""
    facts: int = 0
    amendments: list["Shown"] = field(default_factory=list)


def context(company: Company, user: Any) -> dict[str, Any]:
    """Return what the page of a company shows to a user."""
    place = company.place  # before all that is shown: what moves meanwhile is drawn anew
    jobs = Job.objects.filter(object=company.stream, source="companies")
    last = jobs.order_by("-pk").first()
    job = jobs.filter(state__in=OPEN).order_by("-pk").first()
    looked = last_look(company)
    filings = _filings(company, looked, job)
    missing = _missing(filings, looked)
    counts = search.counts_of([company]).get(company.pk, search.Counts())
    periods = [(one.filing.fiscal_year, one.filing.report_date) for one in filings]
    years = figures.years(company, [*periods, *((year, None) for year in missing)])
    newest = max((day for _, day in periods if day), default=None)
    failed = [one for one in _each(filings) if one.status == "failed"]
    return {
        "company": company,
        "place": place,
        "tickers": Ticker.objects.filter(cik=company.cik).order_by("-listed", "-reported", "rank", "symbol"),
        "symbol": due.symbol_of(company),
        "former": list(company.former_names.order_by("-until")),
        "year_end": reports.end_of_year(company.fiscal_year_end),
        "is_sample": company.cik in standin.CIKS,
        "status": search.state_of(company, job, counts)[0],
        "job": job,
        "job_seen": job is not None and visible_jobs(user).filter(pk=job.pk).exists(),
        "filings": filings,
        "rows": _rows(filings, missing),
        "missing": missing,
        "failed": failed,
        "may_retry": bool(failed) and job is None and looked is not None and can_act(user, looked),
        "last": last,
        "chart": charts.chart(years, _why(filings, missing)),
        "figures": [(one.year, _said(one, "revenue"), _said(one, "net_income")) for one in reversed(years)],
        "latest": figures.latest(company, newest),
        "latest_year": max((year for year, day in periods if day == newest), default=None)
        if newest
        else None,
        "counts": counts,
        "coverage": _coverage(filings, missing),
        "facts": sum(one.facts for one in _each(filings)),
        "schedule": schedules_of(company, user).order_by("paused", "pk").first(),
        "follows": Follow.objects.filter(user=user, about=company.stream).exists(),
    }


def ingestion(job: Job, user: Any) -> dict[str, Any]:
    """Return what a page shows of the ingestion of a company that was not here when it was asked for."""
    kind, _, key = (job.object or "").partition(":")
    company = Company.objects.filter(pk=key).first() if kind == "company" else None
    return {
        "job": job,
        "other": "" if company else job.result_url,  # of who found it ingested under another ticker
        "status": display(job),
        "years": list(job.items.filter(step="filings").order_by("ordinal")),
        "company": company,
        "may_retry": job.state in FINAL and job.state != State.COMPLETED and can_act(user, job),
    }


def last_look(company: Company) -> Job | None:
    """Return the newest job that came as far as the reports: what waits, or failed before, says nothing."""
    jobs = Job.objects.filter(object=company.stream, source="companies").order_by("-pk")
    return jobs.filter(Exists(JobItem.objects.filter(job=OuterRef("pk"), step="filings"))).first()


def schedules_of(company: Company, user: Any) -> Any:
    """Return the schedules by which a user keeps a company up to date, paused ones too."""
    symbols = list(Ticker.objects.filter(cik=company.cik).values_list("symbol", flat=True))
    names = [*symbols, f"CIK{company.cik}"]
    return Schedule.objects.filter(owner=user, source="companies", params__ticker__in=names)


def _filings(company: Company, looked: Job | None, job: Job | None) -> list[Shown]:
    items = {item.key: item for item in looked.items.filter(step="filings")} if looked else {}
    rows = company.filings.order_by("-filing_date", "-accession")[:MAX_FILINGS]
    known = list(rows)
    shown = {filing.pk: _shown(filing, items, job) for filing in known}
    told = dict(company.facts.values_list("accession").annotate(Count("pk")).order_by())
    for one in shown.values():
        one.facts = told.get(one.filing.accession, 0)
    for filing in reversed(known):
        if filing.amends_id in shown:
            shown[filing.amends_id].amendments.append(shown[filing.pk])
    return [shown[filing.pk] for filing in known if filing.amends_id not in shown]


def _shown(filing: Filing, items: Mapping[str, JobItem], job: Job | None) -> Shown:
    item = items.get(filing.accession)
    if filing.status == Filing.Status.COMPLETE:
        return Shown(filing, *words.CHIP["done"])
    if item is not None and item.state in ("failed", "quarantined"):
        return Shown(filing, *words.CHIP["failed"], error=item.error)
    if job is not None:
        return Shown(filing, *words.CHIP["pending"])
    return Shown(filing, "partial", "half", "not read yet")


def _rows(filings: Sequence[Shown], missing: Sequence[int]) -> list[tuple[int, Shown | None]]:
    """Return each report by its year, the newest first, and each year without one in its place."""
    rows: list[tuple[int, Shown | None]] = [(one.filing.fiscal_year, one) for one in filings]
    return sorted([*rows, *((year, None) for year in missing)], key=lambda row: row[0], reverse=True)


def _missing(filings: Sequence[Shown], looked: Job | None) -> list[int]:
    """Return the years without a report: those between others, and of which the last look found none."""
    known = {one.filing.fiscal_year for one in filings}
    items = looked.items.filter(step="filings", key__startswith="year:") if looked else JobItem.objects.none()
    found = {int(key.partition(":")[2]) for key in items.values_list("key", flat=True)}
    return sorted({*reports.missing_years(known, 1), *found} - known, reverse=True)


def _why(filings: Sequence[Shown], missing: Sequence[int]) -> dict[int, str]:
    """Return why a year has no figures."""
    said = {"complete": "no figures", "failed": "failed", "pending": "waiting", "partial": "not read"}
    why = {one.filing.fiscal_year: said.get(one.status, "not known") for one in reversed(filings)}
    return {**why, **dict.fromkeys(missing, "no report")}


def _coverage(filings: Sequence[Shown], missing: Sequence[int]) -> list[tuple[str, str]]:
    """Return (name, years or filings): what is here whole, what failed, what is not here, what never was."""
    lacking = {one.filing.fiscal_year for one in _each(filings) if one.status != "complete"}
    whole = {one.filing.fiscal_year for one in filings} - lacking
    failed = [one.filing for one in _each(filings) if one.status == "failed"]
    waiting = {one.filing.fiscal_year for one in _each(filings) if one.status in ("pending", "partial")}
    found: list[tuple[str, Iterable[Any]]] = [
        ("Complete years", sorted(whole)),
        ("Failed", (f"{one.form} {one.fiscal_year}" for one in reversed(failed))),
        ("Not yet ingested", sorted(waiting)),
        ("No report", sorted(missing)),
    ]
    told = [(name, ", ".join(str(value) for value in values)) for name, values in found]
    return [(name, text) for name, text in told if text]


def _said(year: figures.Year, name: str) -> str:
    value = getattr(year, name)
    return "" if value is None else figures.in_words(value, year.unit)


def _each(filings: Sequence[Shown]) -> Any:
    for one in filings:
        yield one
        yield from one.amendments
