"""What a file is matched against: target columns, how their cells are read, and what a row does to its unit.

An import keeps a copy of its definition, so that a later edit never changes a running one.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from functools import cached_property
from typing import Any

from ingestion.sources.imports.values import EMPTY, READERS, Unreadable, read_code, spellings

IDENTIFIER = "tax_ident"  # what makes two rows the same unit
PERIOD = ("valid_from", "valid_to")


class Mode(StrEnum):
    """What a row does to the unit of its identifier and period."""

    INSERT = "insert"  # a known one is an error
    REPLACE = "replace"  # a known one is written whole: what the row does not say is emptied
    UPDATE = "update"  # an unknown one is an error
    INSERT_OR_UPDATE = "insert_or_update"


class Validity(StrEnum):
    """Where a row's period comes from. The two exclude each other."""

    COLUMNS = "columns"
    JOB = "job"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A target column.

    name: also the field of `Unit` it is written to. type: one of `values.READERS`, or `enum`. unique: no two
    units share a value. default: what an empty cell means. codes: {code: label} of an `enum`. synonyms: other
    headers that mean it, lower case, letters and digits only. longest: characters. least, most: of a number.
    """

    name: str
    label: str
    type: str = "text"
    required: bool = False
    unique: bool = False
    default: str = ""
    codes: Mapping[str, str] = field(default_factory=dict)
    synonyms: tuple[str, ...] = ()
    longest: int = 500
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise ValueError(f"{self.name}: no type {self.type!r}")

    def read(self, text: str) -> str:
        """Return a trimmed text as the register writes it. Raises Unreadable."""
        if self.type == ENUM:
            return read_code(text, self.codes, self._spellings)
        return READERS[self.type](text)

    @cached_property
    def _spellings(self) -> dict[str, str]:
        return spellings(self.codes)

    def filled(self) -> str | None:
        """Return the default as the register writes it, None where there is none."""
        return self.read(self.default) if self.default else None


ENUM = "enum"
TYPES = (*READERS, ENUM)


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A set of target columns and what to do with units that exist already.

    empty: texts read as nothing besides a blank cell, lower case.
    """

    name: str
    columns: tuple[Column, ...]
    slug: str = ""
    mode: str = Mode.INSERT_OR_UPDATE  # by identifier and valid_from
    validity: str = Validity.COLUMNS
    empty: tuple[str, ...] = EMPTY

    def column(self, name: str) -> Column | None:
        """Return the target column called `name`, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def is_empty(self, text: str) -> bool:
        """Say whether a trimmed cell is read as nothing."""
        return not text or text.lower() in self.empty

    def problems(self) -> list[str]:
        """Return why no file can be imported with it, one sentence each."""
        found = [text for column in self.columns for text in _column_problems(column)]
        names = [column.name for column in self.columns]
        found += [f"{name} is there twice." for name in sorted(set(names)) if names.count(name) > 1]
        identifier, name = self.column(IDENTIFIER), self.column("name")
        if identifier is None or not identifier.required or identifier.default:
            found.append(f"{IDENTIFIER} must be a required column without a default.")
        if self.mode != Mode.UPDATE and (name is None or not (name.required or name.default)):
            found.append("name must be a required column, or have a default: new units need a name.")
        if self.validity == Validity.JOB and (both := set(names) & set(PERIOD)):
            found.append(f"{' and '.join(sorted(both))}: the period comes from the job, not from columns.")
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the copy that an import keeps."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Definition":
        """Return the definition that an import has kept."""
        columns = (Column(**{**column, "synonyms": tuple(column["synonyms"])}) for column in data["columns"])
        own = {one.name: data[one.name] for one in fields(cls) if one.name in data}
        own["empty"] = tuple(data.get("empty", EMPTY))
        return cls(**{**own, "columns": tuple(columns)})


def _column_problems(column: Column) -> list[str]:
    found = []
    if (column.type == ENUM) != bool(column.codes):
        found.append(f"{column.name}: a code list belongs to the type enum, and only to it.")
    if column.least is not None and column.most is not None and column.least > column.most:
        found.append(f"{column.name}: least is more than most.")
    if column.unique and column.default:
        found.append(f"{column.name}: what must be unique has no default.")
    try:
        column.filled()
    except Unreadable as problem:
        found.append(f"{column.name}: the default {problem.text}.")
    return found
