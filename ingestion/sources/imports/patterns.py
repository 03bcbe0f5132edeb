"""Patterns of what is certainly unremarkable: cells by their column, and rows made of them.

They may miss what is unremarkable, and never take what is not. None of them lets a character pass that ends a
cell or a row, or that COPY reads as something else.
"""

import re
from collections.abc import Sequence

from ingestion.sources.imports.definition import Column, Definition
from ingestion.sources.imports.rowtext import ESCAPED, SEPARATOR
from ingestion.sources.imports.values import BLANKS

FREE = 1000  # characters of a cell that no column is about; a longer one makes its row odd
MAX_CODES = 40  # of a list; trying more takes longer than looking at what differs

# A space is looked for at the ends of a cell; other blanks anywhere.
_LETTER = f"[^{re.escape(''.join(sorted({*BLANKS, *ESCAPED, SEPARATOR} - {' '})))}]"
_ENDS = f"(?![^{SEPARATOR}\n])"
_TRIMMED = "(?! ){}(?<! )"
_DATE = (
    "[1-9][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)"
    "|(?:0[13578]|1[02])-31)"
)
# One with a scheme names a host, one without holds no colon.
_WEB = "(?:https?://)?[A-Za-z0-9][A-Za-z0-9.-]*+(?:/[A-Za-z0-9_.~/%?&=+#-]*+)?+"
_DIGITS = 15  # of a number without bounds


def cell(column: Column, definition: Definition) -> str | None:
    """Return a pattern of unremarkable cells of a column, None where there is none worth a try."""
    if column.longest < 1 or not all(map(str.isascii, definition.empty)):
        return None
    found = _value(column, definition)
    if found is None:
        return None
    if column.required and not column.default:
        return f"(?:{found})"
    return f"(?:{found}|{_ENDS})"


def rows(cells: Sequence[str | None]) -> str | None:
    """Return a pattern of as many unremarkable rows as follow each other. cells: None: whatever it holds.

    Returns None where a row in which nothing stands would be one of them.
    """
    if all(one is None or re.fullmatch(one, "") for one in cells):
        return None
    whatever = f"{_LETTER}{{0,{FREE}}}+"
    return f"(?:{SEPARATOR.join(one or whatever for one in cells)}\n)*+"


def _value(column: Column, definition: Definition) -> str | None:
    """Return a pattern of values that read as they are written, and are in range."""
    text = _not_empty(definition) + _TRIMMED.format(f"{_LETTER}{{1,{column.longest}}}+")
    if column.type in ("text", "code"):
        return text
    if column.type == "web":
        return f"(?={text}{_ENDS}){_WEB}"
    if column.type == "enum" and len(column.codes) <= MAX_CODES:
        codes = [one for one in column.codes if re.fullmatch(text, one) and not definition.is_empty(one)]
        return f"(?:{'|'.join(map(re.escape, codes))}){_ENDS}" if codes else None
    if any(not word[:1].isalpha() for word in definition.empty):
        return None  # a number may be nothing
    if column.type in ("date", "end_date"):
        return _DATE if column.longest >= 10 else None
    return _number(column) if column.type in ("integer", "decimal") and column.longest > 30 else None


def _number(column: Column) -> str | None:
    low, high = (-int(column.least) if column.least is not None else 10**_DIGITS), column.most
    below = min(10**_DIGITS, 10**_DIGITS if high is None else int(high))
    if (column.least or 0) > 0 or below <= 0:
        return None
    sign = "-?" if low >= below else ""
    if column.type == "integer":
        return f"(?:0|{sign}(?!0){_whole(below)})"
    return rf"{sign}{_whole(below)}(?:\.[0-9]{{1,8}}+)?+"


def _whole(below: int) -> str:
    """Return a pattern of the whole numbers from 0 to `below`, without it."""
    if below == 10**_DIGITS:
        return f"(?:0|[1-9][0-9]{{0,{_DIGITS - 1}}}+)"
    digits = str(below)
    found = ["0", *(f"[1-9][0-9]{{{length - 1}}}" for length in range(1, len(digits)))]
    for place, digit in enumerate(digits):
        least = 0 if place else 1
        if int(digit) > least:
            found.append(f"{digits[:place]}[{least}-{int(digit) - 1}][0-9]{{{len(digits) - place - 1}}}")
    return f"(?:{'|'.join(reversed(found))})"  # the longest first: what follows is not looked at


def _not_empty(definition: Definition) -> str:
    """Return a pattern that fits nowhere before a word for nothing."""
    words = ["".join(map(_any_case, word)) for word in definition.empty if word]
    return f"(?!(?:{'|'.join(words)}){_ENDS})" if words else ""


def _any_case(letter: str) -> str:
    """Return a pattern of all letters whose lower case this one is. (Unicode: the Kelvin sign's is k.)"""
    if not letter.isalpha():
        return re.escape(letter)
    return f"[{letter}{letter.upper()}{chr(0x212A) if letter == 'k' else ''}]"
