"""What the API of imports is asked and answers."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from config.http import IsoDate, StrictModel
from ingestion.api_requests import PageFilter
from ingestion.sources.imports.decisions import MAX_VALUE
from ingestion.sources.imports.default import DEFAULT


class RowFilter(PageFilter):
    """Which rows: errors, warnings, updates or all."""

    filter: str = "errors"


class UnitFilter(PageFilter):
    """Which units: an identifier, or words of the name."""

    q: str = ""


class ImportIn(StrictModel):
    """An import whose file comes later: what it will be read as."""

    definition: str = DEFAULT.slug
    valid_from: IsoDate | None = None
    valid_to: IsoDate | None = None
    review: Literal["auto", "always", "never"] = "auto"
    match: Literal["auto", "always", "never"] = "auto"
    columns: list[str] = []
    priority: Literal["high", "normal", "low"] = "normal"


class FileName(Schema):
    """What a raw body is called."""

    name: str | None = Field(None, max_length=1_000, description="The file's name, for a raw body")


class ImportOut(Schema):
    """An import. Row counts are null until its rows were checked, the last two until they were loaded.

    state: one of S4's words. error: why it failed or was rejected. forgotten_at: when its rows were deleted.
    """

    id: int
    slug: str
    state: str
    priority: str | None
    error: dict[str, str] | None
    definition: str
    valid_from: date | None
    valid_to: date | None
    job: UUID | None
    file_name: str
    file_size: int
    created_at: datetime
    display: str
    header: list[str]
    mapping: dict[str, str]
    rows_total: int | None
    rows_bad: int | None
    rows_new: int | None
    rows_updated: int | None
    problems: list[dict[str, Any]]
    revision: int
    proposals: list[dict[str, Any]]
    created: int | None
    updated: int | None
    forgotten_at: datetime | None


class ImportsOut(Schema):
    """A page of imports."""

    imports: list[ImportOut]
    next: str | None


class DecisionIn(StrictModel):
    """What becomes of the rows of a cause."""

    cause: str = Field(max_length=50, description="The cause's key")
    choice: Literal["leave_out", "keep", "last", "empty", "value", "map", "day_first", "month_first"]
    value: Annotated[str, Field(max_length=MAX_VALUE)] | dict[str, str] | None = Field(
        None, description="The text of `value`, {cell: code} of `map`"
    )
    revision: int | None = Field(
        None, ge=0, le=2**31 - 1, description="What you saw; refused when it has changed since"
    )


class RowOut(Schema):
    """A row of a file: its number there, its cells, what is wrong by source column."""

    number: int
    cells: list[str]
    errors: dict[str, dict[str, str]]
    warnings: dict[str, dict[str, str]]


class RowsOut(Schema):
    """A page of rows."""

    rows: list[RowOut]
    next: str | None


class UnitOut(Schema):
    """A unit of the register during a period."""

    id: int
    tax_ident: str
    stat_ident: str
    name: str
    valid_from: date | None
    valid_to: date | None
    birth_date: date | None
    death_date: date | None
    physical_region_code: str
    primary_activity_category_code: str
    legal_form_code: str
    sector_code: str
    employees: int | None
    turnover: Decimal | None
    extra: dict[str, Any]
    loaded_by: int | None


class UnitsOut(Schema):
    """A page of units."""

    units: list[UnitOut]
    next: str | None
