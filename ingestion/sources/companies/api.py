"""The API of companies: S1's addresses with its shapes, and ours for filings, texts and figures."""

from typing import Annotated, Any

from django.db.models import QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest, HttpResponse
from ninja import Router

from config import paging
from config.http import RowId, StrictQuery, answer
from config.problems import Problem
from ingestion import lifecycle, serializers
from ingestion.access import visible_jobs
from ingestion.sources.companies import fulltext, search, subscribers, tasks, tickers
from ingestion.sources.companies.api_shapes import (
    LARGEST_ID,
    CompaniesOut,
    CompanyFilter,
    CompanyOut,
    FactFilter,
    FactsOut,
    FilingFilter,
    FilingsOut,
    FilingTextOut,
    FoundsOut,
    IngestIn,
    PartTextOut,
    StartedOut,
    TaskOut,
    TextFilter,
)
from ingestion.sources.companies.client import ACCESSION
from ingestion.sources.companies.company_page import MAX_FILINGS
from ingestion.sources.companies.models import Company, Fact, Filing, Ticker
from ingestion.sources.companies.source import Companies

READ = ["GET", "HEAD"]
LARGEST_ORDINAL = 2**15 - 1
router = Router(tags=["companies"])


# ---- S1 ---------------------------------------------------------------------------------------------------


@router.post("/companies/ingest", response=StartedOut, operation_id="ingest_company")
def ingest(request: HttpRequest, asked: Annotated[IngestIn, StrictQuery(...)]) -> HttpResponse:
    """Start the ingestion of a company, or join the one that runs, and answer at once. (S1.46, S1.47)"""
    job = lifecycle.create(Companies.kind, {"ticker": asked.ticker}, owner=request.user).job
    if asked.client_id is not None:
        subscribers.route(request.user, asked.client_id, job)
    return answer({"message": f"Started ingestion for {job.params['ticker']}", "task_id": str(job.pk)})


@router.api_operation(
    READ, "/companies/ingest/{task_id}/status", response=TaskOut, operation_id="get_ingestion_status"
)
def ingestion_status(request: HttpRequest, task_id: RowId) -> HttpResponse:
    """Tell how far an ingestion is, for who polls. (S1.48)"""
    mine = visible_jobs(request.user).filter(source=Companies.kind, pk=task_id)
    job = serializers.for_json(mine).first()
    if job is None:
        raise Problem("not_found", detail="Ingestion task not found")
    return answer(tasks.task_of(job))


@router.api_operation(READ, "/companies/", response=CompanyOut | CompaniesOut, operation_id="find_companies")
def find_companies(request: HttpRequest, asked: Annotated[CompanyFilter, StrictQuery(...)]) -> HttpResponse:
    """Return the company with this `ticker` or `cik` if it is here; without both, list as `/companies`."""
    name = asked.ticker if asked.ticker is not None else asked.cik
    if name is None:
        return _companies(request, asked)
    cik = tickers.known_cik(name if asked.ticker is not None else f"CIK{name.removeprefix('CIK')}")
    found = Company.objects.filter(cik=cik).first() if cik else None
    if found is None:
        raise Problem("not_found", detail="No company with this name is in Headway.")
    return answer(_company(found))


# ---- companies --------------------------------------------------------------------------------------------


@router.api_operation(READ, "/companies", response=CompaniesOut, operation_id="list_companies")
def list_companies(request: HttpRequest, asked: Annotated[CompanyFilter, StrictQuery(...)]) -> HttpResponse:
    """List the companies that are here, the last found first."""
    if asked.ticker is not None or asked.cik is not None:
        return find_companies(request, asked)
    return _companies(request, asked)


def _companies(request: HttpRequest, asked: CompanyFilter) -> HttpResponse:
    scope = paging.Scope("companies", request.user.pk or 0, {"q": asked.q})
    after = paging.read_cursor(scope, asked.cursor)
    found = search.here(asked.q).order_by("-pk")
    if after is not None:
        found = found.filter(pk__lt=after)
    rows = list(found[: asked.limit + 1])
    shown, following = paging.page(rows, asked.limit, scope, lambda one: one.pk)
    return answer({"companies": _lines(shown), "next": following})


@router.api_operation(READ, "/companies/{int:company_id}", response=CompanyOut, operation_id="get_company")
def get_company(request: HttpRequest, company_id: int) -> HttpResponse:
    """Return one company with its filings. (S1.51)"""
    return answer(_company(_known(company_id)))


@router.api_operation(
    READ,
    "/companies/{int:company_id}/filings",
    response=FilingsOut,
    operation_id="list_filings",
)
def list_filings(
    request: HttpRequest, company_id: int, asked: Annotated[FilingFilter, StrictQuery(...)]
) -> HttpResponse:
    """List a company's filings, the last found first."""
    company = _known(company_id)
    scope = paging.Scope(f"filings:{company.pk}", request.user.pk or 0, {"status": asked.status})
    after = paging.read_cursor(scope, asked.cursor)
    rows = company.filings.select_related("amends").order_by("-pk")
    if asked.status is not None:
        rows = rows.filter(status=asked.status)
    if after is not None:
        rows = rows.filter(pk__lt=after)
    shown, following = paging.page(
        list(rows[: asked.limit + 1]), asked.limit, scope, lambda filing: filing.pk
    )
    return answer({"filings": [_filing(filing) for filing in shown], "next": following})


@router.api_operation(READ, "/companies/{int:company_id}/facts", response=FactsOut, operation_id="list_facts")
def list_facts(
    request: HttpRequest, company_id: int, asked: Annotated[FactFilter, StrictQuery(...)]
) -> HttpResponse:
    """List the figures of a company's reports."""
    company = _known(company_id)
    chosen = {"concept": asked.concept, "accession": asked.accession}
    scope = paging.Scope(f"facts:{company.pk}", request.user.pk or 0, chosen)
    after = paging.read_cursor(scope, asked.cursor)
    rows = company.facts.order_by("pk").filter(
        **{name: value for name, value in chosen.items() if value is not None}
    )
    if after is not None:
        rows = rows.filter(pk__gt=after)
    shown, following = paging.page(list(rows[: asked.limit + 1]), asked.limit, scope, lambda fact: fact.pk)
    return answer({"facts": [_fact(fact) for fact in shown], "next": following})


# ---- filings ----------------------------------------------------------------------------------------------


@router.api_operation(READ, "/filings", response=FoundsOut, operation_id="search_filings")
def search_filings(request: HttpRequest, asked: Annotated[TextFilter, StrictQuery(...)]) -> HttpResponse:
    """Find words in the text of filings, the last stored first."""
    scope = paging.Scope("texts", request.user.pk or 0, {"q": asked.q, "company": asked.company})
    after = paging.read_cursor(scope, asked.cursor)
    rows = fulltext.passages(asked.q, asked.company).order_by("-pk")
    if after is not None:
        rows = rows.filter(pk__lt=after)
    found = fulltext.around(rows, asked.q, asked.limit + 1)
    shown, following = paging.page(found, asked.limit, scope, lambda one: one.passage.pk)
    return answer({"found": [_found(one) for one in shown], "next": following})


@router.api_operation(READ, "/filings/{accession}", response=FilingTextOut, operation_id="get_filing")
def get_filing(request: HttpRequest, accession: str) -> HttpResponse:
    """Return a filing and what its text consists of."""
    filing = _known_filing(accession)
    parts = filing.passages.annotate(size=Length("text")).order_by("ordinal").defer("text")
    return answer(
        {
            **_filing(filing),
            "companies": list(filing.companies.order_by("pk").values_list("pk", flat=True)),
            "parts": [
                {"ordinal": one.ordinal, "item": one.item, "title": one.title, "characters": one.size}
                for one in parts
            ],
        }
    )


@router.api_operation(
    READ,
    "/filings/{accession}/parts/{int:ordinal}",
    response=PartTextOut,
    operation_id="get_filing_text",
)
def get_part(request: HttpRequest, accession: str, ordinal: int) -> HttpResponse:
    """Return the text of a part of a filing."""
    filing = _known_filing(accession)
    part = filing.passages.filter(ordinal=ordinal).first() if ordinal <= LARGEST_ORDINAL else None
    if part is None:
        raise Problem("not_found")
    names = ("ordinal", "item", "title", "text")
    return answer({"accession_number": accession, **{name: getattr(part, name) for name in names}})


# ---- inside -----------------------------------------------------------------------------------------------


def _known(pk: int) -> Company:
    found = Company.objects.filter(pk=pk).first() if pk <= LARGEST_ID else None
    if found is None:
        raise Problem("not_found")
    return found


def _known_filing(accession: str) -> Filing:
    known = Filing.objects.select_related("amends").filter(accession=accession)
    found = known.first() if ACCESSION.fullmatch(accession) else None
    if found is None:
        raise Problem("not_found")
    return found


def _lines(companies: list[Company]) -> list[dict[str, Any]]:
    jobs = search.open_jobs([company.stream for company in companies])
    counts = search.counts_of(companies)
    symbols = _symbols(companies)
    lines = []
    for company in companies:
        job = jobs.get(company.stream)
        count = counts.get(company.pk, search.Counts())
        lines.append(
            {
                "id": company.pk,
                "cik": company.cik,
                "name": company.name,
                "tickers": [one.symbol for one in symbols.get(company.cik, []) if not one.is_former],
                "status": search.state_of(company, job, count)[0],
                "filings_total": count.total,
                "filings_complete": count.complete,
                "checked_at": company.checked_at,
                "job": job.pk if job else None,
                "url": company.get_absolute_url(),
            }
        )
    return lines


def _symbols(companies: list[Company]) -> dict[int, list[Ticker]]:
    found: dict[int, list[Ticker]] = {}
    rows: QuerySet[Ticker] = Ticker.objects.filter(cik__in=[company.cik for company in companies])
    for ticker in rows.order_by("-listed", "-reported", "rank", "symbol"):
        found.setdefault(ticker.cik, []).append(ticker)
    return found


def _company(company: Company) -> dict[str, Any]:
    plain = (
        *("entity_type", "category", "sic", "sic_description"),
        *("fiscal_year_end", "ein", "state", "website"),
    )
    [line] = _lines([company])
    filings = company.filings.select_related("amends").order_by("-filing_date", "-accession")
    return {
        **line,
        **{name: getattr(company, name) for name in plain},
        "former_tickers": [one.symbol for one in _symbols([company]).get(company.cik, []) if one.is_former],
        "former_names": list(company.former_names.order_by("-until", "pk").values("name", "since", "until")),
        "facts": company.facts.count(),
        "filings": [_filing(filing) for filing in filings[:MAX_FILINGS]],
    }


def _filing(filing: Filing) -> dict[str, Any]:
    plain = ("form", "fiscal_year", "filing_date", "report_date", "status", "characters")
    return {
        "accession_number": filing.accession,
        **{name: getattr(filing, name) for name in plain},
        "amends": filing.amends.accession if filing.amends else None,
        "url": filing.get_absolute_url(),
    }


def _fact(fact: Fact) -> dict[str, Any]:
    plain = {name: getattr(fact, name) for name in ("concept", "unit", "start", "end")}
    return {**plain, "value": f"{fact.value.normalize():f}", "accession_number": fact.accession}


def _found(one: fulltext.Found) -> dict[str, Any]:
    passage = one.passage
    return {
        "accession_number": passage.filing.accession,
        "form": passage.filing.form,
        "fiscal_year": passage.filing.fiscal_year,
        "ordinal": passage.ordinal,
        "item": passage.item,
        "title": passage.title,
        "snippet": one.snippet,
    }
