"""Which column of a file is which column of the definition."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ingestion.source import SourceError
from ingestion.sources.imports.definition import Definition

SHOWN_HEADERS = 20

_NOT_LETTERS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Match:
    """The column of the file at `index` (from 0) is `target`; `exact`: it is called so."""

    index: int
    header: str
    target: str
    exact: bool = True


def match(
    header: Sequence[str], definition: Definition, chosen: Mapping[str, str] | None = None
) -> list[Match]:
    """Return what was recognised, in the file's order; every target once.

    chosen: header -> target, said by a person ("" keeps a column unmatched). Names themselves come before
    synonyms, and earlier synonyms before later ones. Raises SourceError when a required column is missing.
    """
    chosen = chosen or {}
    _check_chosen(header, definition, chosen)
    found: dict[str, Match] = {}
    free = {index: name for index, name in enumerate(header) if name not in chosen}
    for index, name in enumerate(header):
        if target := chosen.get(name):
            found[target] = Match(index, name, target)
    for column in definition.columns:
        spellings = (plain(column.name), *column.synonyms)
        for spelling in spellings if column.name not in found else ():
            place = next((i for i, name in free.items() if plain(name) == spelling), None)
            if place is not None:
                exact = spelling == spellings[0]
                found[column.name] = Match(place, free.pop(place), column.name, exact)
                break
    for column in definition.columns:
        if column.required and column.name not in found:
            raise SourceError("csv_columns", f'Column "{column.name}" is missing. Found: {listed(header)}.')
    return sorted(found.values(), key=lambda one: one.index)


def plain(header: str) -> str:
    """Return a header without case, blanks and punctuation: "Company Number" is companynumber."""
    return _NOT_LETTERS.sub("", header).lower()


def listed(header: Sequence[str]) -> str:
    """Return the headers as one sentence part, the first twenty of them."""
    more = f" and {len(header) - SHOWN_HEADERS} more" if len(header) > SHOWN_HEADERS else ""
    return ", ".join(name[:60] for name in header[:SHOWN_HEADERS]) + more


def parse_choices(lines: Sequence[str]) -> dict[str, str]:
    """Return header -> target of lines like `Company no = tax_ident`. Raises SourceError."""
    chosen = {}
    for line in lines:
        header, sign, target = line.rpartition("=")
        if not sign or not header.strip():
            raise SourceError("validation_failed", f'"{line}" must look like: file column = target column.')
        chosen[header.strip()] = target.strip()
    return chosen


def _check_chosen(header: Sequence[str], definition: Definition, chosen: Mapping[str, str]) -> None:
    targets = [target for target in chosen.values() if target]
    for name, target in chosen.items():
        if name not in header:
            raise SourceError("csv_columns", f'Column "{name}" is missing. Found: {listed(header)}.')
        if target and definition.column(target) is None:
            raise SourceError("validation_failed", f'There is no target column "{target}".')
        if target and targets.count(target) > 1:
            raise SourceError("validation_failed", f'Two columns were matched to "{target}".')
