"""The pages of the inbox: fetch what is the user's own, validate, call one verb, respond."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from notifications import links


@require_safe
def leave(request: HttpRequest) -> HttpResponse:
    """Name the host that a link leads to, and let the reader go on (SEC33)."""
    url = request.GET.get("to", "")
    if not links.is_outside(url):
        raise Http404
    return render(request, "notifications/leave.html", {"url": url, "host": links.host_of(url)})
