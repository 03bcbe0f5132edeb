"""The pages of companies: search, one company, the text of a filing. Every signed-in user may see them."""

from typing import cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from config.filters import visible_text
from config.spreadsheets import listed
from ingestion import lifecycle, schedules
from ingestion.access import can_act, visible_jobs
from ingestion.admission import Refused
from ingestion.models import OPEN, Job, Schedule
from ingestion.sources.companies import company_page, due, fulltext, search
from ingestion.sources.companies.client import ACCESSION
from ingestion.sources.companies.models import Company, Filing
from ingestion.sources.companies.source import Companies
from notifications import inbox

LARGEST_ID = 2**63 - 1
# Of the file for a spreadsheet.
COLUMNS = {
    "CIK": "cik",
    "Name": "name",
    "Category": "category",
    "Industry": "sic_description",
    "State": "state",
    "Website": "website",
    "Checked (UTC)": "checked_at",
}
FILING_COLUMNS = {
    "Accession number": "accession",
    "Form": "form",
    "Fiscal year": "fiscal_year",
    "Period ends": "report_date",
    "Filed": "filing_date",
    "Amends": "amends__accession",
    "Description": "description",
    "Status": "status",
    "Characters": "characters",
    "Complete (UTC)": "completed_at",
    "URL": "url",
}
MOST_FOUND = 20  # passages of one page: what is around the words is cut out of each whole text


@login_required
@require_safe
def companies(request: HttpRequest) -> HttpResponseBase:
    """Show the companies that are here, those that match what is typed, or how the one asked for comes."""
    query = _query(request)
    asked = _asked(request)
    matches = search.search(query) if query else search.newest()
    context = {
        "query": query,
        "matches": matches,
        "is_empty": "q" in request.GET and not query,
        "asked": asked and company_page.ingestion(asked, request.user),
        "suggestion": search.suggestion(query) if query and not matches else None,
        "may_ask": search.may_be_asked_for(query, matches),
        "here": Company.objects.count(),
        "coming": Job.objects.filter(source=Companies.kind, state__in=OPEN).count(),
    }
    fragments = {"matches": "companies/_matches.html", "ingestion": "companies/_ingestion.html"}
    fragment = fragments.get(request.headers.get("HX-Target", "")) if asked or _is_search(request) else None
    return render(request, fragment or "companies/list.html", context)


@login_required
@require_safe
def companies_csv(request: HttpRequest) -> HttpResponseBase:
    """Give the companies that are here, or those that match what is typed, as a file for a spreadsheet."""
    rows = Company.objects.all()
    if query := _query(request):
        rows = rows.filter(pk__in=[one.company.pk for one in search.search(query) if one.company])
    return listed(rows, COLUMNS, "companies")


@login_required
@require_safe
def filings_csv(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Give the filings of a company as a file for a spreadsheet."""
    found = _company(pk)
    return listed(Filing.objects.filter(companies=found), FILING_COLUMNS, f"filings-{found.pk}")


@login_required
@require_safe
def company(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show one company."""
    context = company_page.context(_company(pk), request.user)
    fragment = request.headers.get("HX-Target") in ("company", "company-job")
    return render(request, "companies/_company.html" if fragment else "companies/company.html", context)


@login_required
@require_POST
def start(request: HttpRequest) -> HttpResponseBase:
    """Start an ingestion, or follow the one that runs; then show the company, else how it is found."""
    try:
        created = lifecycle.create(
            Companies.kind, {"ticker": request.POST.get("ticker", "")}, owner=request.user
        )
    except Refused as refused:
        messages.error(request, " ".join(one["message"] for one in refused.errors) or refused.message)
        return redirect("companies:list")
    if not created.created:
        messages.info(request, "This is running already. You follow it now.")
    known = _of(created.job)
    if known is not None:
        return redirect(known)
    asked = urlencode({"q": created.job.subject, "job": str(created.job.pk)})
    return redirect(f"{reverse('companies:list')}?{asked}")


@login_required
@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Do again what failed, and only that."""
    found = _company(pk)
    last = company_page.last_look(found)
    if last is None or not can_act(request.user, last):
        raise Http404("There is nothing here that you may retry.")
    try:
        lifecycle.retry(last, request.user)
    except Refused as refused:
        messages.error(request, refused.message)
    return redirect(found.get_absolute_url())


@login_required
@require_POST
def keep(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Look for new filings every day, or no more."""
    found = _company(pk)
    with transaction.atomic():
        schedules.settle(found.stream)
        known = company_page.schedules_of(found, request.user)
        if not request.POST.get("daily"):
            known.delete()
        elif not known.exists():
            schedules.put(
                Schedule(
                    name=f"Filings of {found.name}"[:200],
                    source=Companies.kind,
                    params={"ticker": due.symbol_of(found)},
                    # Indexes are rebuilt at 22:00 in New York; not all companies in one minute.
                    cron=f"{found.pk % 60} {4 + found.pk % 3} * * *",
                    zone="UTC",
                    owner=cast(User, request.user),
                )
            )
    return redirect(found.get_absolute_url())


@login_required
@require_POST
def follow(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Hear of new filings of a company, or no more."""
    found = _company(pk)
    if request.POST.get("follow") == "1":
        inbox.follow(request.user, found.stream)
    else:
        inbox.unfollow(cast(int, request.user.pk), found.stream)
    return redirect(found)


@login_required
@require_safe
def texts(request: HttpRequest) -> HttpResponse:
    """Find words in the text of filings, of one company or of all."""
    query = _query(request)
    pk = request.GET.get("company", "")
    company = _company(int(pk)) if pk.isascii() and pk.isdigit() and len(pk) < 20 else None
    rows = fulltext.passages(query, company).order_by("-filing__filing_date", "-filing", "ordinal")
    found = fulltext.around(rows, query, MOST_FOUND + 1) if query else []
    context = {"query": query, "company": company, "found": found[:MOST_FOUND], "more": found[MOST_FOUND:]}
    return render(request, "companies/texts.html", context)


@login_required
@require_safe
def filing(request: HttpRequest, accession: str) -> HttpResponse:
    """Show the text of a filing, one passage at a time."""
    found = Filing.objects.filter(accession=accession).first() if ACCESSION.fullmatch(accession) else None
    if found is None:
        raise Http404("There is no such filing here.")
    passages = list(found.passages.order_by("ordinal").defer("text"))
    text = request.GET.get("part", "")
    chosen = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    context = {
        "filing": found,
        "company": found.companies.order_by("pk").first(),
        "passages": passages,
        "chosen": next((one for one in passages if one.ordinal == chosen), None),
        "following": next((one for one in passages if one.ordinal > chosen), None),
    }
    return render(request, "companies/filing.html", context)


def _query(request: HttpRequest) -> str:
    return visible_text(request.GET, "q", search.MAX_QUERY)


def _is_search(request: HttpRequest) -> bool:
    return request.headers.get("HX-Target") == "matches"


def _asked(request: HttpRequest) -> Job | None:
    """Return the ingestion that the page is about, if its user sees it."""
    try:
        pk = UUID(request.GET.get("job", ""))
    except ValueError:
        return None
    return visible_jobs(request.user).filter(source=Companies.kind, pk=pk).first()


def _company(pk: int) -> Company:
    found = Company.objects.filter(pk=pk).first() if pk <= LARGEST_ID else None
    if found is None:
        raise Http404("There is no such company here.")
    return found


def _of(job: Job) -> Company | None:
    kind, _, key = (job.object or "").partition(":")
    return Company.objects.filter(pk=key).first() if kind == "company" else None
