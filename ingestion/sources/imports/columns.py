"""The columns of one import: where a target stands in the file, and its value in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from ingestion.sources.imports.definition import PERIOD, Column, Definition, Validity
from ingestion.sources.imports.matching import Match
from ingestion.sources.imports.models import Import
from ingestion.sources.imports.rowtext import cell

# Columns that a file of rows with errors has besides its own, see `exports`.
ADDED = ("headway_row", "headway_errors", "headway_warnings")


@dataclass(frozen=True)
class Columns:
    """What a staged row's cells are.

    given: what the job says for every row, text or null by target.
    """

    definition: Definition
    header: Sequence[str]
    matches: Sequence[Match]
    given: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, imported: Import) -> "Columns":
        """Return the columns of an import that was matched."""
        rules = imported.rules
        ends = (imported.valid_from, imported.valid_to)
        period = {name: end.isoformat() if end else None for name, end in zip(PERIOD, ends, strict=True)}
        given = period if rules.validity == Validity.JOB else {}
        return cls(rules, imported.header, imported.matches, given)

    def target(self, match: Match) -> Column:
        """Return the target column of a match."""
        column = self.definition.column(match.target)
        assert column is not None, match.target
        return column

    def has(self, target: str) -> bool:
        """Say whether the file, or the job, has this target column."""
        return target in self.given or self.is_in_file(target)

    def is_in_file(self, target: str) -> bool:
        """Say whether a column of the file is this target column."""
        return any(match.target == target for match in self.matches)

    def unique(self) -> list[Column]:
        """Return the target columns whose values no two units may share."""
        return [column for column in self.definition.columns if column.unique and self.has(column.name)]

    def header_of(self, target: str) -> str:
        """Return how the file calls a target column, its own name when the file has none."""
        return next((match.header for match in self.matches if match.target == target), target)

    def unknown(self) -> dict[int, str]:
        """Return the columns of the file that are no target, by place; without those that we added to it."""
        known = {match.index for match in self.matches}
        return {
            place: name for place, name in enumerate(self.header) if place not in known and name not in ADDED
        }

    def value(self, target: str) -> sql.Composable:
        """Return SQL for what a staged row says in a target column: text as its type reads it, or null."""
        if target in self.given:
            return sql.SQL("{}::text").format(sql.Literal(self.given[target]))
        column = self.definition.column(target)
        default = column.filled() if column else None
        match = next((match for match in self.matches if match.target == target), None)
        if match is None:
            return sql.SQL("{}::text").format(sql.Literal(default))
        said = sql.SQL("(CASE WHEN fixed ? {key} THEN fixed ->> {key} ELSE nullif({cell}, '') END)").format(
            key=sql.Literal(str(match.index)), cell=cell(match.index)
        )
        if default is None:
            return said
        return sql.SQL("coalesce({}, {})").format(said, sql.Literal(default))

    def typed(self, target: str) -> sql.Composable:
        """Return SQL for the value as the register's column holds it."""
        column = self.definition.column(target)
        kind = column.type if column else TYPE_OF[target]
        value = self.value(target)
        if kind == "end_date":  # no end is null in the register
            return sql.SQL("nullif({}, 'infinity')::date").format(value)
        if cast := _CASTS.get(kind):
            return sql.SQL("{}::{}").format(value, sql.SQL(cast))
        return sql.SQL("coalesce({}, '')").format(value)


_CASTS = {"date": "date", "end_date": "date", "integer": "bigint", "decimal": "numeric"}
TYPE_OF = {"valid_from": "date", "valid_to": "end_date"}  # also where the definition has no such column
