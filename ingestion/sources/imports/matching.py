"""Which column of a file is which column of the definition: recognised, guessed, or said by a person."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from enum import StrEnum

from ingestion.source import SourceError
from ingestion.sources.imports.definition import IDENTIFIER, Column, Definition

SHOWN_HEADERS = 20
SAMPLES = 3  # of a column, shown
MAX_SAMPLE = 60  # characters
ALIKE = 0.78  # of two headers, from which one is proposed for the other

_NOT_LETTERS = re.compile(r"[\W_]+")
_CODE = re.compile(r"[\w./-]*\d[\w./-]*")
_WORDS = re.compile(r"[^\W\d_]{2}")
_PLACE = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class Why(StrEnum):
    """How a column was recognised, the surest first."""

    CHOSEN = "chosen"  # said with the file
    NAME = "name"
    SAVED = "saved"  # said of an earlier file
    SYNONYM = "synonym"
    SIMILAR = "similar"
    CONTENT = "content"


GUESSES = frozenset({Why.SIMILAR, Why.CONTENT})


@dataclass(frozen=True)
class Match:
    """The column of the file at `index` (from 0) is `target`."""

    index: int
    header: str
    target: str
    why: str = Why.NAME


@dataclass(frozen=True)
class Proposal:
    """What a column of the file may be; target and why are empty where nothing fits. samples: cells."""

    index: int
    header: str
    target: str = ""
    why: str = ""
    samples: list[str] = field(default_factory=list)


def match(
    header: Sequence[str],
    definition: Definition,
    chosen: Mapping[str, str] | None = None,
    saved: Mapping[str, str] | None = None,
) -> list[Match]:
    """Return what was recognised, in the file's order; every target once.

    chosen: header -> target, said by a person ("" keeps a column unmatched). saved: the same, of earlier
    files, headers as `plain` writes them. Names themselves come before what was saved, that before synonyms,
    and earlier synonyms before later ones. Raises SourceError when a required column is missing.
    """
    found = _recognised(header, definition, chosen or {}, saved or {})
    if lacks := missing(definition, {one.target for one in found}):
        raise SourceError("csv_columns", f'Column "{lacks[0].name}" is missing. Found: {listed(header)}.')
    return found


def propose(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    definition: Definition,
    chosen: Mapping[str, str] | None = None,
    saved: Mapping[str, str] | None = None,
) -> list[Proposal]:
    """Return each column of the file with what it may be: what was recognised, then guesses.

    rows: the first rows of the file. Guesses are made by headers that are alike and, for what is required, by
    what the cells look like.
    """
    chosen = chosen or {}
    found = {one.index: (one.target, one.why) for one in _recognised(header, definition, chosen, saved or {})}
    free = [index for index, name in enumerate(header) if index not in found and name not in chosen]
    columns = [[row[index] for row in rows if index < len(row)] for index in range(len(header))]
    open_targets = [one for one in definition.columns if one.name not in {t for t, _ in found.values()}]
    for alike, index, column in sorted(
        ((_alikeness(header[index], column), index, column) for index in free for column in open_targets),
        key=lambda one: (-one[0], one[1]),
    ):
        taken = {target for target, _ in found.values()}
        if alike >= ALIKE and index not in found and column.name not in taken:
            found[index] = (column.name, Why.SIMILAR)
    taken = {target for target, _ in found.values()}
    for column in open_targets:
        if column.name in taken:
            continue
        place = next((i for i in free if i not in found and _looks_like(columns[i], column)), None)
        if place is not None:
            found[place] = (column.name, Why.CONTENT)
    return [
        Proposal(index, name, *found.get(index, ("", "")), samples=_samples(columns[index]))
        for index, name in enumerate(header)
    ]


def missing(definition: Definition, targets: set[str]) -> list[Column]:
    """Return the required columns that are not among `targets`."""
    return [
        column
        for column in definition.columns
        if column.required and not column.default and column.name not in targets
    ]


def is_doubtful(definition: Definition, proposals: Sequence[Proposal]) -> bool:
    """Say whether a person must look: a required column is missing, or only guessed."""
    sure = {one.target for one in proposals if one.target and one.why not in GUESSES}
    return bool(missing(definition, sure))


def complete(
    header: Sequence[str], definition: Definition, proposals: Sequence[Proposal], said: Mapping[str, str]
) -> dict[str, str]:
    """Return header -> target as a person wants it: what they said, the proposals for the rest.

    Raises SourceError validation_failed: a target is unknown, comes twice, or a required one is missing.
    """
    wanted = {one.header: one.target for one in proposals if one.target}
    given = {target for target in said.values() if target}
    wanted = {name: target for name, target in wanted.items() if target not in given and name not in said}
    for name in said:
        if name not in header:
            raise SourceError("validation_failed", f'The file has no column "{name[:60]}".')
    wanted |= said
    try:
        _check_chosen(header, definition, wanted)
    except SourceError as error:
        raise SourceError("validation_failed", error.message) from error
    if lacks := missing(definition, {target for target in wanted.values() if target}):
        names = " and ".join(f"{column.label} ({column.name})" for column in lacks)
        raise SourceError("validation_failed", f"Say which column is {names}.")
    return {name: wanted.get(name, "") for name in header}


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


def _recognised(
    header: Sequence[str], definition: Definition, chosen: Mapping[str, str], saved: Mapping[str, str]
) -> list[Match]:
    _check_chosen(header, definition, chosen)
    found: dict[str, Match] = {}
    free = {index: name for index, name in enumerate(header) if name not in chosen}

    def take(index: int, target: str, why: Why) -> None:
        found[target] = Match(index, header[index], target, why)
        free.pop(index, None)

    for index, name in enumerate(header):
        if target := chosen.get(name):
            take(index, target, Why.CHOSEN)
    for column in definition.columns:
        if column.name not in found and (place := _spelled(free, [plain(column.name)])) is not None:
            take(place, column.name, Why.NAME)
    for index, name in list(free.items()):
        target = saved.get(plain(name))
        if target == "":
            del free[index]
        elif target and target not in found and definition.column(target) is not None:
            take(index, target, Why.SAVED)
    for column in definition.columns:
        if column.name not in found and (place := _spelled(free, column.synonyms)) is not None:
            take(place, column.name, Why.SYNONYM)
    return sorted(found.values(), key=lambda one: one.index)


def _spelled(free: Mapping[int, str], spellings: Sequence[str]) -> int | None:
    """Return the first free column that is spelled in one of these ways, in their order."""
    places = (place for spelling in spellings for place, name in free.items() if plain(name) == spelling)
    return next(places, None)


def _check_chosen(header: Sequence[str], definition: Definition, chosen: Mapping[str, str]) -> None:
    targets = [target for target in chosen.values() if target]
    for name, target in chosen.items():
        if name not in header:
            raise SourceError("csv_columns", f'Column "{name}" is missing. Found: {listed(header)}.')
        if target and definition.column(target) is None:
            raise SourceError("validation_failed", f'There is no target column "{target}".')
        if target and targets.count(target) > 1:
            raise SourceError("validation_failed", f'Two columns were matched to "{target}".')


def _alikeness(header: str, column: Column) -> float:
    name = plain(header)
    spellings = {plain(column.name), plain(column.label), *column.synonyms}
    return max(_ratio(name, spelling) for spelling in spellings) if len(name) > 2 else 0.0


def _ratio(a: str, b: str) -> float:
    if len(b) >= 4 and (b in a or (a in b and len(a) >= 4)):
        return 0.5 + 0.5 * min(len(a), len(b)) / max(len(a), len(b))
    return SequenceMatcher(None, a, b, autojunk=False).ratio()


def _looks_like(cells: Sequence[str], column: Column) -> bool:
    """Say whether cells look like a column's: an identifier, a name, an address of the web or of mail."""
    texts = [text for cell in cells if (text := cell.strip())]
    if not texts:
        return False
    distinct = len(set(texts)) == len(texts)
    if column.name == IDENTIFIER:
        return distinct and len(texts) == len(cells) and all(map(_CODE.fullmatch, texts))
    if column.required and column.type == "text":
        return sum(bool(_WORDS.search(text)) for text in texts) > 0.9 * len(texts)
    if column.type == "web":
        return all(map(_PLACE.fullmatch, texts))
    return column.name == "email_address" and all(map(_MAIL.fullmatch, texts))


def _samples(cells: Sequence[str]) -> list[str]:
    texts = dict.fromkeys(text for cell in cells if (text := cell.strip()))
    return [text if len(text) <= MAX_SAMPLE else f"{text[:MAX_SAMPLE]}…" for text in list(texts)[:SAMPLES]]
