"""The columns of one import: where a target stands in the file, and its value in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from ingestion.sources.imports.definition import Column, Definition
from ingestion.sources.imports.matching import Match
from ingestion.sources.imports.models import Import
from ingestion.sources.imports.values import BLANKS


@dataclass(frozen=True)
class Columns:
    """What a staged row's cells are."""

    definition: Definition
    header: Sequence[str]
    matches: Sequence[Match]

    @classmethod
    def of(cls, imported: Import) -> "Columns":
        """Return the columns of an import that was matched."""
        return cls(imported.rules, imported.header, imported.matches)

    def target(self, match: Match) -> Column:
        """Return the target column of a match."""
        column = self.definition.column(match.target)
        assert column is not None, match.target
        return column

    def has(self, target: str) -> bool:
        """Say whether the file has this target column."""
        return any(match.target == target for match in self.matches)

    def header_of(self, target: str) -> str:
        """Return how the file calls a target column, its own name when the file has none."""
        return next((match.header for match in self.matches if match.target == target), target)

    def unknown(self) -> dict[int, str]:
        """Return the columns of the file that are no target, by place."""
        known = {match.index for match in self.matches}
        return {place: name for place, name in enumerate(self.header) if place not in known}

    def value(self, target: str) -> sql.Composable:
        """Return SQL for what a staged row says in a target column: text as its type reads it, or null."""
        match = next((match for match in self.matches if match.target == target), None)
        if match is None:
            return sql.SQL("NULL::text")
        return sql.SQL(
            "(CASE WHEN fixed ? {key} THEN fixed ->> {key}"
            " ELSE nullif(btrim(cells ->> {place}, {blanks}), '') END)"
        ).format(
            key=sql.Literal(str(match.index)), place=sql.Literal(match.index), blanks=sql.Literal(BLANKS)
        )
