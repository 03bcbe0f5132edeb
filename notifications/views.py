"""The pages of the inbox: fetch what is the user's own, validate, call one verb, respond."""

from http import HTTPStatus

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from config.spreadsheets import tabled
from notifications import days, forms, links, listing, pages
from notifications.listing import Filter
from notifications.pages import Filters


@login_required
@require_safe
def inbox(request: HttpRequest) -> HttpResponseBase:
    """List notifications; all of the list's state is in its URL."""
    context = pages.context(request.user, Filters.from_query(request.GET))
    part = request.headers.get("HX-Target") == "inbox"
    return render(request, f"notifications/{'_inbox' if part else 'inbox'}.html", context)


@login_required
@require_safe
def inbox_csv(request: HttpRequest) -> HttpResponseBase:
    """Give the notifications of the list, all that match its filters, as a file for a spreadsheet."""
    found = listing.pages(request.user, Filters.from_query(request.GET).wanted())
    heads = ["Type", "Level", "Title", "Text", "Address", "Came (UTC)", "Changed (UTC)", "Read (UTC)"]
    lines = (
        [(o.type, o.level, o.title, o.text, o.url, o.created_at, o.updated_at, o.read_at) for o in some]
        for some in found
    )
    return tabled(heads, lines, "inbox")


@login_required
@require_safe
def bell(request: HttpRequest) -> HttpResponseBase:
    """Give the inside of the bell's dropdown."""
    return render(request, "notifications/_bell.html", pages.bell(request.user))


@login_required
@require_safe
def snooze(request: HttpRequest) -> HttpResponseBase:
    """Ask until when, where no script opens a menu."""
    try:
        meant = forms.of_bulk(request.GET)
    except forms.Unclear as unclear:
        messages.error(request, str(unclear))
        return redirect("notifications:inbox")
    ids = [] if isinstance(meant, Filter) else [pk for pk in meant if pk > 0]  # broadcasts are not snoozed
    if isinstance(meant, Filter):
        count = listing.count_own(request.user, meant)
        chosen = [("all", "1"), ("upto", meant.until.isoformat() if meant.until else "")]
    else:
        count, chosen = len(ids), [("pick", str(pk)) for pk in ids]
    context = {
        "matching": count,
        "filter_values": [*chosen, *Filters.from_query(request.GET).said().items()],
        "zone": timezone.get_current_timezone_name(),
        "may_wait": len(ids) == 1,
        "choices": days.choices(timezone.localtime()),
    }
    return render(request, "notifications/snooze.html", context)


@login_required
@require_POST
def act(request: HttpRequest) -> HttpResponseBase:
    """Do something to notifications: to one, to the ticked ones, to all that match; or undo that."""
    scripted = request.headers.get("Accept") == "application/json"
    if request.POST.get("verb") == "snooze" and not request.POST.get("until"):
        query = request.POST.copy()
        query.pop("csrfmiddlewaretoken", None)
        return redirect(f"{reverse('notifications:snooze')}?{query.urlencode()}")
    try:
        done = forms.do(request.user, request.POST)
    except forms.Unclear as unclear:
        if scripted:
            return JsonResponse({"detail": str(unclear)}, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        messages.error(request, str(unclear))
        return _back(request)
    if scripted:
        version = listing.version(request.user)  # first: the count may be newer than it, never older
        stands = {"unread": listing.unread_count(request.user), "version": version}
        return JsonResponse({"count": done.count, "text": done.text, "undo": done.undo} | stands)
    messages.success(request, done.text, extra_tags=done.undo)
    return _back(request)


def _back(request: HttpRequest) -> HttpResponseBase:
    """Return to the list that the form was on."""
    query = Filters.from_query(request.POST).query()
    return redirect(f"{reverse('notifications:inbox')}{'?' if query else ''}{query}")


@require_safe
def leave(request: HttpRequest) -> HttpResponse:
    """Name the host that a link leads to, and let the reader go on (SEC33)."""
    url = request.GET.get("to", "")
    if not links.is_outside(url):
        raise Http404
    return render(request, "notifications/leave.html", {"url": url, "host": links.host_of(url)})
