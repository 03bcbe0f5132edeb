"""The pages of schedules: who may see which, and the verbs behind their buttons."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from config.spreadsheets import listed
from ingestion import schedules, schedules_page
from ingestion.admission import Refused
from ingestion.clock import read_clock
from ingestion.models import Schedule
from ingestion.schedule_form import TimesForm
from ingestion.tagged import part

LIST = "schedules"  # the id of the element that asks for itself


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponseBase:
    """List what starts by itself; all of the list's state is in its URL."""
    filters = schedules_page.Filters.from_query(request.GET)
    context = schedules_page.context(request.user, filters)
    if request.headers.get("HX-Target") != LIST:
        return render(request, "schedules/list.html", context)
    return part(request, "schedules/_rows.html", context)


@login_required
@require_GET
def as_csv(request: HttpRequest) -> HttpResponseBase:
    """Give the schedules of the list, all that match its filters, as a file for a spreadsheet."""
    filters = schedules_page.Filters.from_query(request.GET)
    return listed(filters.apply(schedules.visible(request.user)), schedules_page.COLUMNS, "schedules")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show a schedule with its next runs, and change its name and times; `look` keeps nothing."""
    found = _visible(request, pk)
    may = schedules.can_change(request.user, found)
    if request.method == "POST":
        if not may:
            return _not_yours(request, found)
        form = TimesForm(request.POST, instance=found)
        if form.is_valid() and "look" in request.POST:
            return _shown(request, found, form, may)
        if form.is_valid():
            try:
                schedules.edit(found.pk, **form.cleaned_data)
                messages.success(request, f"{form.cleaned_data['name']} is changed.")
                return redirect("ingestion:schedules")
            except Refused as refused:  # changed meanwhile
                if refused.code == "not_found":
                    raise Http404 from refused
                for error in refused.errors:
                    form.add_error(
                        error["field"] if error["field"] in form.fields else None, error["message"]
                    )
        return _shown(request, found, form, may, HTTPStatus.UNPROCESSABLE_ENTITY)
    return _shown(request, found, TimesForm(instance=found), may)


def _shown(request: HttpRequest, found: Any, form: TimesForm, may: bool, status: int = 200) -> HttpResponse:
    times: list[Any] = []
    why = "They are shown when the times are right."
    if not form.is_bound or form.is_valid():  # is_valid has written what was typed into the row
        try:
            times = schedules.next_times(found.cron, found.zone, read_clock())
        except ValueError as error:  # its zone is no longer known here
            why = str(error)
    kept = schedules.visible(request.user).select_related("owner", "last_job").get(pk=found.pk)
    context = {
        "schedule": kept,
        "form": form,
        "times": times,
        "why_none": why,
        "acts": may,
        "zone_of": found.zone,
    }
    return render(request, "schedules/edit.html", context, status=status)


def _acting(act: Callable[[HttpRequest, Any], Any]) -> Callable[..., HttpResponseBase]:
    """Make a view of a function that does one thing to a schedule that its user may change."""

    @login_required
    @require_POST
    @wraps(act)
    def view(request: HttpRequest, pk: int) -> HttpResponseBase:
        found = _visible(request, pk)
        if not schedules.can_change(request.user, found):
            return _not_yours(request, found)
        try:
            act(request, found)
        except Refused as refused:
            messages.warning(request, f"{found.name}: {refused.message}")
        query = schedules_page.Filters.from_query(request.POST)
        said = query.query(before=query.before)
        return redirect(f"{reverse('ingestion:schedules')}{'?' if said else ''}{said}")

    return view


@_acting
def run(request: HttpRequest, found: Any) -> None:
    """Start its job now; its times stay."""
    schedules.start_once(found.pk)
    messages.success(request, f"{found.name} was started.")


@_acting
def pause(request: HttpRequest, found: Any) -> None:
    """Let it start nothing until it is resumed."""
    schedules.set_paused(found.pk, True)
    messages.success(request, f"{found.name} is paused.")


@_acting
def resume(request: HttpRequest, found: Any) -> None:
    """Let it go on from now."""
    schedules.set_paused(found.pk, False)
    messages.success(request, f"{found.name} goes on.")


def _visible(request: HttpRequest, pk: int) -> Schedule:
    found = schedules.visible(request.user).select_related("owner", "last_job").filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def _not_yours(request: HttpRequest, found: Schedule) -> HttpResponse:
    owner = found.owner.get_username()
    context = {
        "heading": "This schedule is not yours to change",
        "message": f"It belongs to {owner}. Ask them, or somebody who may operate the system.",
    }
    return render(request, "errors/403.html", context, status=HTTPStatus.FORBIDDEN)
