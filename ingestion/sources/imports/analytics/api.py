"""The API of the charts: what was derived, and the figures. Every signed-in user may read them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from config import paging
from config.http import DEFAULT_PAGE, Limit, StrictQuery, answer
from ingestion.sources.imports.analytics import charts

READ = ["GET", "HEAD"]
router = Router(tags=["charts"])


class ChartsOut(Schema):
    """What there are figures of. version, derived_at: 0 and null before anything was derived."""

    version: int
    derived_at: datetime | None
    first_year: int
    last_year: int
    dimensions: dict[str, str]
    measures: dict[str, str]


class FigureOut(Schema):
    """The figures of a code at the end of a year; of `year`, of all units at the end of that year."""

    code: str
    label: str
    units: int
    employees: int
    turnover: Decimal


class FiguresOut(Schema):
    """A page of figures, sizes and years in their order, others largest first."""

    dimension: str
    year: int
    version: int
    derived_at: datetime | None
    rows: list[FigureOut]
    next: str | None


class FigureFilter(Schema):
    """Which year, this one unless told, and which page."""

    year: int | None = Field(None, ge=1000, le=9999, description="Figures at the end of this year")
    limit: Limit = DEFAULT_PAGE
    cursor: str | None = None


@router.api_operation(READ, "/charts", response=ChartsOut, operation_id="get_charts")
def get_charts(request: HttpRequest) -> HttpResponse:
    """Say what was derived, when, and of which years."""
    version, derived_at = charts.position()
    now = timezone.now().year
    return answer(
        {
            "version": version,
            "derived_at": derived_at,
            "first_year": charts.first_year(now),
            "last_year": now,
            "dimensions": charts.DIMENSIONS,
            "measures": charts.MEASURES,
        }
    )


@router.api_operation(READ, "/charts/{dimension}", response=FiguresOut, operation_id="list_figures")
def list_figures(
    request: HttpRequest,
    dimension: Literal["region", "activity", "size", "year"],
    filters: Annotated[FigureFilter, StrictQuery(...)],
) -> HttpResponse:
    """List the figures of a dimension at the end of a year; `year`: of every year up to it."""
    year = timezone.now().year if filters.year is None else filters.year
    version, derived_at = charts.position()
    rows = charts.rows_of(dimension, year)
    # Bound to when they were derived: a page of other figures would be in another order.
    scope = paging.Scope(f"charts:{dimension}", request.user.pk or 0, {"year": year, "of": str(derived_at)})
    after = paging.read_cursor(scope, filters.cursor)
    first = next((place for place, row in enumerate(rows, 1) if row.code == after), 0)
    found = rows[first : first + filters.limit + 1]
    shown, following = paging.page(found, filters.limit, scope, lambda row: row.code)
    told = {"dimension": dimension, "year": year, "version": version, "derived_at": derived_at}
    names = FigureOut.model_fields
    told["rows"] = [{name: getattr(row, name) for name in names} for row in shown]
    return answer({**told, "next": following})
