"""The page of the charts, and its tables as CSV. Every signed-in user may see the figures."""

import csv
import io

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from config.spreadsheets import safe_cell
from ingestion.downloads import attachment
from ingestion.sources.imports.analytics import charts


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the four charts with their figures at the end of a year."""
    year, now = _year(request), timezone.now().year
    measure = request.GET.get("of", "")
    measure = measure if measure in charts.MEASURES else "units"
    version, derived_at = charts.position()
    context = {
        "charts": charts.charts(measure, year) if version else [],
        "measure": measure,
        "measures": charts.MEASURES,
        "year": year,
        "years": range(now, charts.first_year(now) - 1, -1),
        "now": now,
        "version": version,
        "derived_at": derived_at,
    }
    fragment = request.headers.get("HX-Target") == "charts"
    return render(request, "analytics/_charts.html" if fragment else "analytics/charts.html", context)


@login_required
@require_safe
def table(request: HttpRequest, dimension: str) -> HttpResponse:
    """Give the figures of a chart as a CSV file; beyond 10,000 codes the smallest are one line, `others`."""
    if dimension not in charts.DIMENSIONS:
        raise Http404("There is no such chart.")
    year = _year(request)
    out = io.StringIO()
    writer = csv.writer(out)  # RFC 4180: comma, CRLF
    writer.writerow([dimension, "name", *charts.MEASURES])
    for row in charts.rows_of(dimension, year):
        figures = [row.units, row.employees, f"{row.turnover.normalize():f}"]
        writer.writerow([safe_cell(row.code), safe_cell(row.label), *figures])
    return attachment(out.getvalue(), f"units-by-{dimension}-{year}.csv", "text/csv")


def _year(request: HttpRequest) -> int:
    """Return the year that is asked for; anything else is this one."""
    now = timezone.now().year
    text = request.GET.get("year", "")
    year = int(text) if text.isascii() and text.isdigit() and len(text) == 4 else now
    return year if now - charts.OLDEST < year <= now else now
