"""The pages of days: one day, calendars, search. Everybody sees their own alone."""

from datetime import date
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from config import texts
from config.spreadsheets import listed
from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.sources.lifelogs import accounts, calendars, day_page, finding, spans, transcripts
from ingestion.sources.lifelogs.models import Account
from ingestion.sources.lifelogs.streams import parse_date

LARGEST_ID = 2**63 - 1
# Of the file for a spreadsheet.
COLUMNS = {
    "Day": "date",
    "Status": "ingestion_status",
    "Items": "items_count",
    "Completed (UTC)": "completed_at",
    "Read (UTC)": "walked_at",
    "Trouble": "trouble",
}


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponseBase:
    """Show today, or how one begins."""
    account = accounts.find(request.user, None)
    if account is None:
        return redirect("lifelogs:accounts")
    return redirect("lifelogs:day", account.pk, spans.today(account, day_page.clock_of(account)).isoformat())


@login_required
@require_safe
def day(request: HttpRequest, pk: int, text: str) -> HttpResponseBase:
    """Show a day, or the part of its page that changed."""
    account = _account(request, pk)
    found = day_page.look(account, _date(text), request.GET)
    fragment = request.headers.get("HX-Target") in ("day", "day-job")
    if fragment and request.headers.get("If-None-Match") == found.tag:
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": found.tag})
    context = day_page.context(account, found, request.user, request.GET)
    response = render(request, "lifelogs/_day.html" if fragment else "lifelogs/day.html", context)
    response["ETag"] = found.tag
    return response


@login_required
@require_safe
def cell(request: HttpRequest, pk: int, text: str) -> HttpResponseBase:
    """Show a day's cell of a calendar."""
    account = _account(request, pk)
    found = calendars.cell(account, _date(text), day_page.clock_of(account))
    current = parse_date(request.GET.get("on", ""))
    tag = f'"{found.version}:{found.status}:{found.begun:d}:{found.date == current:d}"'
    if request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    response = render(request, "lifelogs/_cell.html", {"cell": found, "current": current})
    response["ETag"] = tag
    return response


@login_required
@require_safe
def item(request: HttpRequest, pk: int, number: int) -> HttpResponseBase:
    """Show all that was said in an item, a thousand lines at a time."""
    account = _account(request, pk)
    rows = account.items.filter(pk=min(number, LARGEST_ID), deleted_at=None).select_related("account", "day")
    found = rows.first()
    if found is None:
        raise Http404("There is no such item.")
    lines = transcripts.lines(found.contents, found.markdown)
    given = request.GET.get("from", "")
    start = int(given) if len(given) < 10 and given.isascii() and given.isdigit() else 0
    start = start if start < len(lines) else 0
    end = min(start + transcripts.PAGE, len(lines))
    context = {
        "item": found,
        "clock": f"{found.started_at.astimezone(account.local):%H:%M}",
        "lines": lines[start:end],
        "total": len(lines),
        "first": start + 1,
        "last": end,
        "previous": max(0, start - transcripts.PAGE) if start else None,
        "following": end if end < len(lines) else None,
    }
    return render(request, "lifelogs/item.html", context)


@login_required
@require_safe
def calendar(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show a year of completeness."""
    account = _account(request, pk)
    now = day_page.clock_of(account)
    today = spans.today(account, now)
    text = request.GET.get("year", "")
    given = int(text) if len(text) == 4 and text.isascii() and text.isdigit() else 0
    number = given if spans.OLDEST.year <= given <= today.year else today.year
    context = {
        "account": account,
        "accounts": accounts.of(request.user),
        "calendar": calendars.year(account, number, now),
        "year": number,
        "previous": number - 1 if number > spans.OLDEST.year else None,
        "following": number + 1 if number < today.year else None,
        "today": today,
    }
    return render(request, "lifelogs/calendar.html", context)


@login_required
@require_safe
def days_csv(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Give the days of an account as a file for a spreadsheet."""
    account = _account(request, pk)
    return listed(account.days.all(), COLUMNS, f"days-{account.pk}")


@login_required
@require_safe
def search(request: HttpRequest) -> HttpResponseBase:
    """Find items by words."""
    query = texts.plain(request.GET.get("q", ""), finding.MAX_QUERY)
    found = finding.search(request.user, query) if query else []
    return render(request, "lifelogs/search.html", {"query": query, "found": found, "most": finding.MOST})


@login_required
@require_POST
def sync(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Start reading a day, a month or what is incomplete; then show it."""
    account = _account(request, pk)
    given = request.POST
    when = parse_date(given.get("date", ""))
    params: dict[str, Any] = {"account": account.pk, "mode": given.get("mode", "day")}
    if when is not None:
        params["date"] = when.isoformat()
    if given.get("month"):
        params["month"] = given["month"]
    try:
        created = lifecycle.create(accounts.KIND, params, owner=request.user)
    except Refused as refused:
        messages.error(request, " ".join(one["message"] for one in refused.errors) or refused.message)
        return redirect(_back(account, when))
    if not created.created:
        messages.info(request, "This is running already.")
    shown = when or parse_date(given.get("shown", ""))
    return redirect(_back(account, shown) if shown else created.job)


def _back(account: Account, when: date | None) -> str:
    shown = when or spans.today(account, day_page.clock_of(account))
    return calendars.Cell(account.pk, shown, calendars.UNSEEN, 0).url


def _account(request: HttpRequest, pk: int) -> Account:
    found = accounts.find(request.user, pk) if pk <= LARGEST_ID else None
    if found is None:
        raise Http404("There is no such account.")
    return found


def _date(text: str) -> date:
    found = parse_date(text)
    if found is None:
        raise Http404("There is no such day.")
    return found
