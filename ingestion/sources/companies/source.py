"""Ingest a company's annual reports: who is it, the latest reports one by one, then the figures."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from ingestion.models import OPEN, ItemState, Job, State
from ingestion.run import Run
from ingestion.source import Outcome, Source, SourceError, SourceParams, Step, register
from ingestion.sources.companies import (
    documents,
    facts,
    reports,
    search,
    sections,
    storing,
    streams,
    submissions,
    tickers,
)
from ingestion.sources.companies.client import Missing, Sec
from ingestion.sources.companies.models import Company, Filing
from ingestion.sources.companies.sample import standin
from ingestion.sources.companies.storing import Text
from ingestion.sources.companies.submissions import Filer
from ingestion.sources.companies.types import NEW_FILINGS
from ingestion.steps import StepHandle
from notifications import inbox

log = structlog.get_logger(__name__)

FIGURES = "figures"  # key of the one item of the last step


class Params(SourceParams):
    """Which company, and how many of its reports."""

    ticker: str = Field(
        max_length=40, description="For example AAPL or BRK-B; or a CIK, for example CIK320193"
    )
    years: int = Field(default=5, ge=1, le=30, description="How many annual reports, the latest first")

    @field_validator("ticker")
    @classmethod
    def _is_ticker(cls, value: str) -> str:
        symbol = submissions.normal(value) if len(value) <= search.MAX_TICKER else value
        if not symbol:
            raise PydanticCustomError("ticker_missing", "Please enter a ticker symbol")
        if not search.TICKER.fullmatch(symbol):
            raise PydanticCustomError("ticker_form", "A ticker has letters, digits and dashes: AAPL, BRK-B")
        return symbol


@register
class Companies(Source):
    """Annual reports of one company, with their text and their figures."""

    kind, label, params = "companies", "Company filings", Params
    description = "Find a company by its ticker and bring its annual reports and key figures from the SEC."
    title, subject = "Ingest {ticker}", "{ticker}"
    steps: ClassVar[list[Step]] = [
        Step("lookup", "Look the company up", 10),
        Step("filings", "Annual reports", 80),
        Step("facts", "Key figures", 10),
    ]
    item_noun = "filings"
    page, page_label, page_icon = "companies:list", "Companies", "company"
    shared = True
    example: ClassVar[dict[str, Any]] = {"ticker": standin.TICKER}

    def run(self, job: Run, p: Params) -> Outcome:
        """Bring what is not here yet."""
        with Sec(job, bundled=p.ticker == standin.TICKER) as sec:
            with job.step("lookup", f"Retrieving company data for {p.ticker}") as step:
                found = job.once("found", lambda: look_up(job, sec, p))
                company = Company.objects.get(pk=found["company"])
                other = take(job, company)
                job.changed(company)
                step.message(f"Company {company.name} found, processing filings")
            if other is not None:
                return _joined(job, company, other)
            with job.step("filings", f"Company {company.name} found, processing filings") as step:
                self.read_reports(job, step, sec, company, found)
            with job.step("facts") as step:
                self.read_facts(job, step, sec, company)
        job.changed(company)
        new = new_filings(job)
        tell_followers(job, company, new)
        return _outcome(company, found, quiet=not new)

    def read_reports(
        self, job: Run, step: StepHandle, sec: Sec, company: Company, found: dict[str, Any]
    ) -> None:
        """Bring the text of each report and of its amendments. Raises SourceError when none could be read."""
        values: list[Filing | int] = [*storing.in_order(found["filings"]), *found["missing"]]
        fetch = partial(read_text, sec, company.cik)
        # An item comes with its text read already, so what is said is said of the one after it.
        job.log(f"Company {company.name} found, processing filings")
        if values:
            step.message(_processing(values, 0))
        for item in step.items(values, key=_key, label=_label, fetch=fetch, threads=2):
            step.message(_processing(values, values.index(item.value) + 1))
            with item:
                if isinstance(item.value, int):
                    item.skip(f"No annual report for {item.value}.")
                else:
                    item.result = {"characters": storing.save_text(item.fetched)}
                    job.changed(company)
        _check_any(job)

    def read_facts(self, job: Run, step: StepHandle, sec: Sec, company: Company) -> None:
        """Bring the figures of the reports that are known here."""
        known = list(company.filings.values_list("accession", flat=True))

        def fetch(_: str) -> list[facts.Figure] | None:
            try:
                return facts.parse(sec.facts(company.cik), known)
            except Missing:
                return None

        for item in step.items([FIGURES], key=str, label=lambda _: "Key figures", fetch=fetch):
            with item:
                if item.fetched is None:
                    item.skip("The SEC has no figures of this company.")
                else:
                    facts.replace(company, known, item.fetched)
                    item.result = {"facts": len(item.fetched)}
                    job.changed(company)

    def can_start(self, user: Any, p: Params) -> None:
        """Keep what we made up out of what people rely on. Raises SourceError."""
        if settings.PRODUCTION and p.ticker == standin.TICKER:
            raise SourceError("permission_denied", "This company is made up: production has no use for it.")

    def unique_key(self, p: Params) -> str | None:
        """Say that tickers of one company are the same work, where we know whose they are."""
        cik = tickers.known_cik(p.ticker)
        return str(cik) if cik is not None else p.ticker

    def created(self, job: Job, p: Params) -> None:
        """Say what company it is about, where it is here already."""
        cik = tickers.known_cik(p.ticker)
        company = Company.objects.filter(cik=cik).first() if cik else None
        if company is not None:
            job.object = company.stream
            job.save(update_fields=["object"])
            streams.touch(company.stream)

    def ended(self, job: Job) -> None:
        """Have the open pages of the company draw the end, and the log name what failed."""
        for item in job.items.filter(state__in=(ItemState.FAILED, ItemState.QUARANTINED)):
            log.warning("filing_ingestion_failed", ticker=job.subject, filing=item.label, error=item.error)
        if job.object:
            streams.touch(job.object)
        if job.state == State.FAILED:
            log.error("company_ingestion_failed", ticker=job.subject, error=job.error)


def look_up(job: Run, sec: Sec, p: Params) -> dict[str, Any]:
    """Find the company and its latest reports, and write them down as known."""
    cik = tickers.find_cik(sec, p.ticker)
    try:
        filer = submissions.parse(sec.submissions(cik), cik)
    except Missing as error:
        text = f"SEC EDGAR has no company with CIK {cik}."
        raise SourceError("unknown_company", text) from error
    company = storing.save_company(filer)
    found = reports.annual_reports(_rows(job, sec, filer, p.years), p.years)
    years = [reports.fiscal_year(report.row, filer.fiscal_year_end) for report in found]
    return {
        "company": company.pk,
        "filings": storing.save_reports(company, found),
        "missing": reports.missing_years(years, p.years),
    }


def _rows(job: Run, sec: Sec, filer: Filer, years: int) -> list[submissions.Row]:
    """Return the latest filings, with as many older pages as it takes to find enough reports."""
    rows = list(filer.rows)
    for name in filer.older:
        if sum(reports.is_report(row.form) for row in rows) >= years:
            break
        job.checkpoint()
        try:
            rows += submissions.parse_older(sec.older_submissions(name))
        except Missing:
            job.log(f"The SEC lists older filings in {name[:60]}, and does not have it.", "warning")
    return rows


def take(job: Run, company: Company) -> Job | None:
    """Make the company this job's own, or return the open job that has it: found under another ticker.

    Whose it is stands with the company: a job that is about it from its start has not taken it yet, and two
    that each saw the other would both end. Asked again in each attempt, as the other may have failed.
    """
    with transaction.atomic():
        # no_key: who writes its turns, which name it, need not wait.
        held = Company.objects.select_for_update(no_key=True).get(pk=company.pk)
        if held.taken_by not in (None, job.id):
            other = Job.objects.filter(pk=held.taken_by, state__in=OPEN).first()
            if other is not None:
                return other
        Company.objects.filter(pk=company.pk).update(taken_by=job.id)
        job.about(company)
    return None


def new_filings(job: Run) -> list[str]:
    """Return which filings this job brought, in words; what a retry has of the job before is not new."""
    done = Job.objects.get(pk=job.id).items.filter(step="filings", state=ItemState.DONE)
    own = done.filter(finished_at__gte=F("job__created_at")).order_by("ordinal")
    return [item.label for item in own if (item.result or {}).get("characters")]


def tell_followers(job: Run, company: Company, new: Sequence[str]) -> None:
    """Tell who follows a company which filings are new. Who hears of the job itself does not hear twice."""
    users = inbox.followers(company.stream) - inbox.followers(f"job:{job.id}")
    users -= {job.owner.pk if job.owner else None}
    if new and users:
        inbox.notify(
            users,
            NEW_FILINGS,
            f"New filings of {company.name}"[:200],
            text=", ".join(new),
            url=company.get_absolute_url(),
            about=company.stream,
            group_key=f"filings:{job.id}",
            version=1,  # an attempt that comes here again changes nothing
        )


def read_text(sec: Sec, cik: int, value: Filing | int) -> Text | None:
    """Fetch and read a filing, or nothing where its text is here already."""
    if isinstance(value, int) or value.status == Filing.Status.COMPLETE:
        return None
    url = sec.document_url(cik, value.accession, value.primary_document)
    try:
        text = documents.text_of(sec.document(url), value.form)
    except Missing as error:
        what = f"The SEC lists this {value.form}, and does not have its document."
        raise SourceError("sec_missing", what) from error
    if not text:
        raise SourceError("no_text", f"This {value.form} has no text that can be read.")
    return Text(value.pk, url, sections.split(text, value.form))


def _check_any(job: Run) -> None:
    rows = Job.objects.get(pk=job.id).items.filter(step="filings")
    failed = rows.filter(state__in=(ItemState.FAILED, ItemState.QUARANTINED)).order_by("ordinal")
    if failed and not rows.filter(state=ItemState.DONE).exists():
        text = f"None of {len(failed)} filings could be read. The first: {failed[0].error}"
        raise SourceError("filings_failed", text[:500])


def _processing(values: Sequence[Filing | int], n: int) -> str:
    """Say which of the years is read now: an amendment is read with its report. (S1.36)"""
    n = min(n, len(values) - 1)
    years = [_year(value) for value in values[: n + 1] if not _amends(value)]
    total = sum(not _amends(value) for value in values)
    return f"Processing {years[-1]} filing ({len(years)}/{total})"


def _key(value: Filing | int) -> str:
    return f"year:{value}" if isinstance(value, int) else value.accession


def _label(value: Filing | int) -> str:
    if isinstance(value, int):
        return str(value)
    year, form = value.fiscal_year, value.form
    return f"{form} of {year}" if _amends(value) else f"{year} {form}"  # S1's years begin with a figure


def _year(value: Filing | int) -> int:
    return value if isinstance(value, int) else value.fiscal_year


def _amends(value: Filing | int) -> bool:
    return isinstance(value, Filing) and value.amends_id is not None


def _joined(job: Run, company: Company, other: Job) -> Outcome:
    """End with a link to the job that does the same work; who asked follows that one. (S1.2)"""
    with transaction.atomic():
        if job.owner is not None and inbox.follow(job.owner, other.stream, limited=False):
            inbox.touch([job.owner.pk])
    return Outcome(
        text=f"{company.name} is being ingested already",
        url=other.get_absolute_url(),
        data={"company": company.pk, "job": str(other.pk)},
        quiet=True,  # for a schedule; the other job says how it ends
    )


def _outcome(company: Company, found: dict[str, Any], *, quiet: bool) -> Outcome:
    text = f"{company.name} is ready" if found["filings"] else f"{company.name} files no annual reports"
    data = {"company": company.pk, "cik": company.cik}
    return Outcome(text=text, url=company.get_absolute_url(), data=data, quiet=quiet)
