"""Finding a company as one types: by ticker, former ticker, or words of its names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from ingestion import figures
from ingestion.models import OPEN, Job
from ingestion.search import resembling
from ingestion.serializers import display
from ingestion.sources.companies import tickers
from ingestion.sources.companies.models import Company, Filing, FormerName, Ticker
from ingestion.sources.companies.submissions import normal

MOST = 20
MAX_QUERY = 100  # characters
MAX_WORDS = 6
MOST_YEARS = 3  # that a line names
MAX_TICKER = 20  # characters; a CIK's fewer
TICKER = re.compile(r"[A-Z0-9][A-Z0-9-]{0,19}", re.ASCII)


@dataclass
class Match:
    """A company that was found. company: None when it is only known by the SEC's list."""

    cik: int
    ticker: str
    name: str
    company: Company | None = None
    pieces: Sequence[tuple[str, bool]] = ()  # of its name: (text, whether it is what was typed)
    sub: str = ""
    status: str = ""  # as badges know it
    job: Job | None = None


def search(query: str) -> list[Match]:
    """Return who is meant, the exact ticker first."""
    query = " ".join(query.replace("\0", " ").split())[:MAX_QUERY]
    if not query:
        return []
    exact = tickers.known_cik(normal(query))
    by_cik = Company.objects.filter(cik__in=[exact or 0]).values_list("cik", flat=True)
    ciks = list(dict.fromkeys([*by_cik, *_by_ticker(query), *_by_name(query)]))[:MOST]
    matches = sorted(_matches(ciks), key=lambda one: one.cik != exact)
    for one in matches:
        one.pieces = _pieces(one.name, query)
    return matches


def by_look(query: str) -> list[Match]:
    """Return whose names look like what was typed, who is here first."""
    return _matches(list(dict.fromkeys(_named(resembling(query[:MAX_QUERY], "name"))))[:MOST])


def may_be_asked_for(query: str, matches: Sequence[Match]) -> str:
    """Return the ticker or CIK that a query is, if it is of none of the matches; empty when it is neither."""
    symbol = normal(query) if len(query) <= MAX_TICKER and " " not in query.strip() else ""
    exact = tickers.known_cik(symbol)
    known = exact is not None and any(one.cik == exact for one in matches)
    return symbol if TICKER.fullmatch(symbol) and not known else ""


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
    matches = _matches([company.cik for company in rows])
    for one in matches:
        one.pieces = [(one.name, False)]
    return matches


def suggestion(query: str) -> str | None:
    """Return the ticker that may be meant by one that nobody has."""
    return tickers.nearest(query) if query and len(query) <= MAX_QUERY else None


def _pieces(name: str, query: str) -> list[tuple[str, bool]]:
    """Cut a name where words of it begin as words that were typed."""
    typed = "|".join(re.escape(word) for word in sorted(_typed(query), key=len, reverse=True))
    found = re.split(rf"(?<!\w)({typed})", name, flags=re.IGNORECASE) if typed else [name]
    return [(text, bool(n % 2)) for n, text in enumerate(found) if text]


def _typed(query: str) -> list[str]:
    """Return the words of a query."""
    return "".join(letter if letter.isalnum() else " " for letter in query).split()[:MAX_WORDS]


def _by_ticker(query: str) -> list[int]:
    symbol = normal(query)
    found = Ticker.objects.filter(symbol__startswith=symbol)
    exact = list(found.filter(symbol=symbol).values_list("cik", flat=True)[:MOST])
    ranked = found.order_by(F("rank").asc(nulls_last=True), "symbol")
    return [*exact, *ranked.values_list("cik", flat=True)[: MOST * 2]]


def _words(query: str) -> SearchQuery | None:
    words = _typed(query)
    if not words:
        return None
    return SearchQuery(" & ".join(f"{word}:*" for word in words), config="simple", search_type="raw")


def _by_name(query: str) -> list[int]:
    raw = _words(query)
    if raw is None:
        return []
    return _named(Q(words=raw), words=SearchVector("name", config="simple"))


def _named(wanted: Q, **annotations: Any) -> list[int]:
    here = Company.objects.annotate(**annotations).filter(wanted)
    before = FormerName.objects.annotate(**annotations).filter(wanted)
    listed = Ticker.objects.annotate(**annotations).filter(wanted).order_by(F("rank").asc(nulls_last=True))
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
            match.status, match.sub = state_of(company, match.job, counts.get(company.pk, Counts()))
        found.append(match)
    return found


def state_of(company: Company, job: Job | None, counts: "Counts") -> tuple[str, str]:
    """Return the state of a company as badges know it, and in words."""
    if job is not None:
        left = figures.left(job, timezone.now())
        still = f"{figures.duration(left)} left" if left is not None else job.message
        return display(job), f"{counts}, {still or 'waiting for a worker'}"
    if not counts.total:
        return ("ready", "Files no annual reports") if company.checked_at else ("partial", "Nothing here yet")
    return ("partial", f"{counts}, {counts.lacking}") if counts.lacking else ("ready", str(counts))


def open_jobs(streams: Sequence[str]) -> dict[str, Job]:
    """Return the open job of each of these companies, by the company's stream."""
    rows = Job.objects.filter(object__in=streams, source="companies", state__in=OPEN).order_by("-pk")
    return {str(job.object): job for job in rows}


@dataclass
class Counts:
    """How many filings of a company are here with their text, of how many; years: of those that are not."""

    complete: int = 0
    total: int = 0
    years: Sequence[int] = ()

    def __str__(self) -> str:
        return (
            f"{self.complete} of {self.total} filings"
            if self.complete < self.total
            else f"{self.total} filings"
        )

    @property
    def lacking(self) -> str:
        """Say which years are not here whole."""
        more = len(self.years) - MOST_YEARS
        told = ", ".join(str(year) for year in self.years[:MOST_YEARS])
        return f"{told}{f' and {more} more' if more > 0 else ''} missing" if told else ""


def counts_of(companies: Sequence[Company]) -> dict[int, Counts]:
    """Return what is here of the filings of each of these companies, by its id."""
    rows = Filing.objects.filter(companies__in=companies).order_by().values_list("companies", "fiscal_year")
    of_years = rows.annotate(Count("pk"), complete=Count("pk", filter=Q(status=Filing.Status.COMPLETE)))
    found: dict[int, Counts] = {}
    for pk, year, total, complete in sorted(of_years, reverse=True):
        before = found.get(pk, Counts())
        years = [*before.years, *([year] if complete < total else [])]
        found[pk] = Counts(before.complete + complete, before.total + total, years)
    return found
