"""Finding a company as one types: by ticker, former ticker, or words of its names."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import F, Q, QuerySet

from ingestion.models import OPEN, Job
from ingestion.serializers import display
from ingestion.sources.companies import tickers
from ingestion.sources.companies.models import Company, Filing, FormerName, Ticker
from ingestion.sources.companies.submissions import normal

MOST = 20
MAX_QUERY = 100  # characters
MAX_WORDS = 6


@dataclass
class Match:
    """A company that was found. company: None when it is only known by the SEC's list."""

    cik: int
    ticker: str
    name: str
    company: Company | None = None
    sub: str = ""
    status: str = ""  # as badges know it
    job: Job | None = None


def search(query: str) -> list[Match]:
    """Return who is meant, the exact ticker first."""
    query = " ".join(query.replace("\0", " ").split())[:MAX_QUERY]
    if not query:
        return []
    ciks = list(dict.fromkeys([*_by_ticker(query), *_by_name(query)]))[:MOST]
    matches = _matches(ciks)
    exact = tickers.known_cik(query)
    return sorted(matches, key=lambda one: one.cik != exact)


def here(query: str) -> QuerySet[Company]:
    """Return the companies that are here and meant by a query, all without one."""
    query = " ".join(query.split())[:MAX_QUERY]
    if not query:
        return Company.objects.all()
    named = Ticker.objects.filter(symbol__startswith=normal(query)).values("cik")
    meant = Q(cik__in=named)
    words = _words(query)
    if words is not None:
        name = SearchVector("name", config="simple")
        now = Company.objects.annotate(words=name).filter(words=words).values("pk")
        before = FormerName.objects.annotate(words=name).filter(words=words).values("company")
        meant |= Q(pk__in=now) | Q(pk__in=before)
    return Company.objects.filter(meant)


def newest() -> list[Match]:
    """Return the companies that are here, the last looked at first."""
    rows = Company.objects.order_by(F("checked_at").desc(nulls_last=True), "-pk")[:MOST]
    return _matches([company.cik for company in rows])


def suggestion(query: str) -> str | None:
    """Return the ticker that may be meant by one that nobody has."""
    return tickers.nearest(query) if query and len(query) <= MAX_QUERY else None


def _by_ticker(query: str) -> list[int]:
    symbol = normal(query)
    found = Ticker.objects.filter(symbol__startswith=symbol)
    exact = list(found.filter(symbol=symbol).values_list("cik", flat=True)[:MOST])
    ranked = found.order_by(F("rank").asc(nulls_last=True), "symbol")
    return [*exact, *ranked.values_list("cik", flat=True)[: MOST * 2]]


def _words(query: str) -> SearchQuery | None:
    words = "".join(letter if letter.isalnum() else " " for letter in query).split()[:MAX_WORDS]
    if not words:
        return None
    return SearchQuery(" & ".join(f"{word}:*" for word in words), config="simple", search_type="raw")


def _by_name(query: str) -> list[int]:
    raw = _words(query)
    if raw is None:
        return []
    name = SearchVector("name", config="simple")
    here = Company.objects.annotate(words=name).filter(words=raw)
    before = FormerName.objects.annotate(words=name).filter(words=raw)
    listed = Ticker.objects.annotate(words=name).filter(words=raw).order_by(F("rank").asc(nulls_last=True))
    return [
        *here.values_list("cik", flat=True)[:MOST],
        *before.values_list("company__cik", flat=True)[:MOST],
        *listed.values_list("cik", flat=True)[: MOST * 2],
    ]


def _matches(ciks: Sequence[int]) -> list[Match]:
    symbols: dict[int, Ticker] = {}
    for ticker in Ticker.objects.filter(cik__in=ciks).order_by(
        "-listed", "-reported", F("rank").asc(nulls_last=True), "symbol"
    ):
        symbols.setdefault(ticker.cik, ticker)
    here = {company.cik: company for company in Company.objects.filter(cik__in=ciks)}
    jobs = open_jobs([company.stream for company in here.values()])
    counts = counts_of(list(here.values()))
    found = []
    for cik in ciks:
        company, known = here.get(cik), symbols.get(cik)
        name = company.name if company else known.name if known else f"CIK {cik}"
        match = Match(cik, known.symbol if known else f"CIK{cik}", name, company)
        if company is None:
            match.sub = "Not in Headway yet. Found at SEC EDGAR."
        else:
            match.job = jobs.get(company.stream)
            match.status, match.sub = state_of(company, match.job, *counts.get(company.pk, (0, 0)))
        found.append(match)
    return found


def state_of(company: Company, job: Job | None, complete: int, total: int) -> tuple[str, str]:
    """Return the state of a company as badges know it, and in words."""
    told = f"{complete} of {total} filings" if complete < total else f"{total} filings"
    if job is not None:
        return display(job), f"{told}, {job.message or 'waiting for a worker'}"
    if not total:
        return ("ready", "Files no annual reports") if company.checked_at else ("partial", "Nothing here yet")
    return ("ready" if complete == total else "partial"), told


def open_jobs(streams: Sequence[str]) -> dict[str, Job]:
    """Return the open job of each of these companies, by the company's stream."""
    rows = Job.objects.filter(object__in=streams, source="companies", state__in=OPEN).order_by("-pk")
    return {str(job.object): job for job in rows}


def counts_of(companies: Sequence[Company]) -> dict[int, tuple[int, int]]:
    """Return (complete, all) filings of each of these companies, by its id."""
    counts: dict[int, tuple[int, int]] = {}
    rows = Filing.objects.filter(companies__in=companies).values_list("companies", "status")
    for pk, status in rows:
        complete, total = counts.get(pk, (0, 0))
        counts[pk] = (complete + (status == Filing.Status.COMPLETE), total + 1)
    return counts
