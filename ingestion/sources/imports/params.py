"""What an import is started with, and the definition that it names."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ingestion.admission import invalid
from ingestion.source import SourceParams
from ingestion.sources.imports import sheets, targets
from ingestion.sources.imports.default import DEFAULT
from ingestion.sources.imports.definition import Definition, Validity
from ingestion.sources.imports.models import ImportDefinition

MAX_MATCH = 1_100  # characters of a header and the column that it is


class Params(SourceParams):
    """What to import and when to ask."""

    later: bool = Field(
        default=False, title="Send the file later", description="Nothing works on it until the file is there"
    )
    file: UUID | None = Field(
        default=None,
        validate_default=True,
        json_schema_extra={"format": "upload"},
        description="A register as .csv, .tsv, .txt, .xlsx, or packed as .gz",
    )
    review: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Ask before loading: when rows have errors (auto), always, or never",
    )
    match: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Ask which column is which: when the header is not clear (auto), always, or never",
    )
    definition: str = Field(
        default=DEFAULT.slug, max_length=50, description="What the file is matched against"
    )
    valid_from: date | None = Field(
        default=None, description="First day of every row, where the definition takes it from here"
    )
    valid_to: date | None = Field(
        default=None, description="Last day of every row; none: until further notice"
    )
    columns: list[Annotated[str, Field(max_length=MAX_MATCH)]] = Field(
        default=[],
        max_length=sheets.MAX_COLUMNS,
        description="Only where a header is not recognised: file column = target column, one a line",
    )

    @field_validator("file")
    @classmethod
    def _now_or_later(cls, value: UUID | None, info: ValidationInfo) -> UUID | None:
        if value is None and not info.data.get("later"):
            raise PydanticCustomError("missing", "This field is required.")
        return value


def definition_of(p: Params) -> Definition:
    """Return the definition that params name. Raises Refused where it, or the period, does not fit."""
    definition = row_of(p).snapshot()
    if found := targets.problems(definition):
        raise invalid("definition", f"The definition cannot be used: {found[0]}")
    if definition.validity == Validity.JOB and p.valid_from is None:
        raise invalid("valid_from", "This definition takes the period from here. Say where it begins.")
    if definition.validity != Validity.JOB and (p.valid_from or p.valid_to):
        name = "valid_from" if p.valid_from else "valid_to"
        raise invalid(name, "This definition takes the period from the columns of the file.")
    if p.valid_from and p.valid_to and p.valid_to < p.valid_from:
        raise invalid("valid_to", "The period ends before it begins.")
    return definition


def row_of(p: Params) -> ImportDefinition:
    """Return the row of the definition that params name. Raises Refused."""
    row = ImportDefinition.objects.filter(slug=p.definition).first()
    if row is None:
        raise invalid("definition", f'There is no definition "{p.definition[:50]}".')
    return row


def saved(row: ImportDefinition | None) -> dict[str, str]:
    """Return header -> target as people said it of earlier files."""
    return {} if row is None else dict(row.matches.values_list("header", "target"))
