"""What a cell may say: each type of value, read from text the way registers write it."""

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from urllib.parse import urlsplit

# Read as "nothing" besides a blank cell, in any case, where a definition says nothing else.
EMPTY = ("na", "n/a", "null", "none", "nan")

# `loading` trims the same characters in SQL.
BLANKS = " \t\n\r\v\f\u00a0\ufeff"

OPEN_END = "infinity"

DAY_OR_MONTH = "day_or_month"  # what is wrong with a date that may be, or is, one with the month first
MAY_BE_ANOTHER = "may be another day: read as day/month/year"

_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?Z?)?")
_DAY_FIRST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")  # as some write it with the month first
# `20.0` is 20, but `1,000` is more likely a thousand than one.
_INTEGER = re.compile(r"[+-]?(?![1-9]\d{0,2}[.,]000\Z)\d{1,18}(?:[.,]0+)?")
_DECIMAL = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d{1,2})?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u202f']\d{3})+(?:[.,]\d+)?")
_MAYBE_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})")
_SCHEME = re.compile(r"([a-z][a-z0-9+-]*):(?!\d{1,5}(?:[/?#]|$))", re.IGNORECASE)  # `host:80` has none
_STEERING = re.compile("[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_BLANK_OR_QUOTE = re.compile("[ \u00a0\u202f']")

MAX_DIGITS = 40
SHOWN_CODES = 8  # of a list, in a sentence
LARGEST = Decimal(10) ** 25  # what the column of a unit holds


class Unreadable(Exception):
    """A cell does not hold a value of its type. code: the cause. text: in words, without the value."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def read_text(text: str) -> str:
    """Return the text. Codes are text too: leading zeros and dots stay."""
    return text


def read_web(text: str) -> str:
    """Return a web address. Registers write `www.example.com`; only one that names a scheme is judged."""
    if _STEERING.search(text):
        raise Unreadable("bad_character", "contains a character that is not allowed")
    scheme = _SCHEME.match(text)
    if scheme is None:
        return text
    if scheme[1].lower() not in ("http", "https"):
        raise Unreadable("url_scheme", "must start with http:// or https://")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise Unreadable("url_no_host", "has no host name") from None
    if not parts.hostname:
        raise Unreadable("url_no_host", "has no host name")
    if parts.username is not None:
        raise Unreadable("url_credentials", "may not contain a user name or password")
    return text


def read_date(text: str) -> str:
    """Return the ISO form of a date written YYYY-MM-DD, DD.MM.YYYY or DD/MM/YYYY, whichever a cell uses."""
    if found := _ISO.fullmatch(text):
        year, month, day = found.groups()
    elif found := _DAY_FIRST.fullmatch(text):
        day, _, month, year = found.groups()
    else:
        raise Unreadable("not_a_date", "is not a date; expected YYYY-MM-DD, DD.MM.YYYY or DD/MM/YYYY")
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        pass
    if _SLASHED.fullmatch(text) and 12 < int(month) <= _days(int(year), int(day)):
        raise Unreadable(DAY_OR_MONTH, "is a date only with the month first")
    raise Unreadable("not_a_date", "is not a day of the calendar; expected day before month")


def _days(year: int, month: int) -> int:
    """Return how many days a month has, 0 where there is none."""
    return monthrange(year, month)[1] if 1 <= month <= 12 and year else 0


def is_day_first(text: str) -> bool:
    """Say whether a date with slashes can only be one with the day first."""
    found = _SLASHED.fullmatch(text.strip(BLANKS))
    return found is not None and int(found[1]) > 12 >= int(found[2])


def doubt_date(text: str) -> tuple[str, str] | None:
    """Return what is doubtful about a readable date: `03/04/2024` may mean the fourth of March."""
    found = _SLASHED.fullmatch(text)
    if found is None or int(found[1]) > 12 or int(found[1]) == int(found[2]):
        return None
    return DAY_OR_MONTH, MAY_BE_ANOTHER


def read_end_date(text: str) -> str:
    """Return a date like `read_date`, or `infinity` for a period without an end."""
    return OPEN_END if text.lower() in (OPEN_END, "+infinity", "inf") else read_date(text)


def read_integer(text: str) -> str:
    """Return a whole number in PostgreSQL's form; `20.0` as spreadsheets write it is 20."""
    plain = _BLANK_OR_QUOTE.sub("", text) if _GROUPED.fullmatch(text) else text
    if not _INTEGER.fullmatch(plain):
        raise Unreadable("not_an_integer", "is not a whole number")
    return str(int(re.split("[.,]", plain)[0]))


def read_decimal(text: str) -> str:
    """Return a number in PostgreSQL's form; the decimal sign is a point or a comma."""
    plain = _BLANK_OR_QUOTE.sub("", text) if _GROUPED.fullmatch(text) else text
    if len(plain) > MAX_DIGITS or not _DECIMAL.fullmatch(plain):
        raise Unreadable("not_a_number", "is not a number")
    number = Decimal(plain.replace(",", "."))
    if abs(number) >= LARGEST:
        raise Unreadable("not_a_number", "is too large a number")
    return f"{number:f}"


def doubt_decimal(text: str) -> tuple[str, str] | None:
    """Return what is doubtful about a readable number: `1,234` may mean a thousand."""
    return ("doubtful", "the comma is read as the decimal sign") if _MAYBE_GROUPED.fullmatch(text) else None


def spellings(codes: Mapping[str, str]) -> dict[str, str]:
    """Return what may be written for the codes of {code: label}, lower case; what fits two is empty."""
    found: dict[str, str] = {}
    for code, label in codes.items():
        for said in {code.lower(), label.lower()} - {""}:
            found[said] = code if found.get(said, code) == code else ""
    return found


def read_code(text: str, codes: Mapping[str, str], known: Mapping[str, str]) -> str:
    """Return the code of a list that a text means. known: `spellings` of the codes."""
    if text in codes:
        return text
    if code := known.get(text.lower()):
        return code
    shown = ", ".join(list(codes)[:SHOWN_CODES]) + (", ..." if len(codes) > SHOWN_CODES else "")
    raise Unreadable("not_in_list", f"is not one of the codes {shown}")


READERS: dict[str, Callable[[str], str]] = {
    "text": read_text,
    "code": read_text,
    "web": read_web,
    "date": read_date,
    "end_date": read_end_date,
    "integer": read_integer,
    "decimal": read_decimal,
}
# Return (code, text), or None for most.
DOUBTS: dict[str, Callable[[str], tuple[str, str] | None]] = {
    "date": doubt_date,
    "end_date": doubt_date,
    "decimal": doubt_decimal,
}
