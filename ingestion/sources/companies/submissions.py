"""A filer's data as the SEC gives it: who it is, and its filings as columns, newest first.

Read by name: copies differ in their columns, some pad the CIK, persons and funds lack most of it.
"""

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from ingestion.source import SourceError
from ingestion.sources.companies.client import ACCESSION

_BREAKS = re.compile(r"\s*<br\s*/?>\s*", re.IGNORECASE)
_SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")
_MMDD = re.compile(r"(0[1-9]|1[0-2])[0-3][0-9]", re.ASCII)
_FIRST_DAY = date(1900, 1, 1)  # what is said of days before is a slip
_OLDEST_PERIOD = timedelta(days=15 * 366)  # before its filing: filers that are late are late by years


@dataclass(frozen=True)
class Row:
    """One filing of the list. Its time of acceptance is in no one zone, so it is left out.

    report_date: the end of its period; None too where that cannot be: filers mistype it.
    """

    accession: str
    form: str
    filing_date: date
    report_date: date | None
    primary_document: str
    description: str


@dataclass(frozen=True)
class Former:
    """A name of before."""

    name: str
    since: date | None
    until: date | None


@dataclass(frozen=True)
class Filer:
    """Who files. tickers: (symbol, exchange). older: names of the pages with older filings, newest first."""

    cik: int
    name: str
    entity_type: str
    category: str
    sic: str
    sic_description: str
    fiscal_year_end: str
    ein: str
    state: str
    website: str
    tickers: tuple[tuple[str, str], ...]
    former_names: tuple[Former, ...]
    rows: tuple[Row, ...]
    older: tuple[str, ...]


def parse(content: bytes, cik: int) -> Filer:
    """Read a filer's data. Raises SourceError when it is of another filer, or not such data."""
    data = load(content)
    filings = data.get("filings")
    if not isinstance(filings, dict) or not _is_cik(data.get("cik"), cik):
        raise broken()
    tickers = [normal(text) for text in _texts(data.get("tickers"))]
    exchanges = [_text(one, 50) for one in _list(data.get("exchanges"))] + [""] * len(tickers)
    year_end = _text(data.get("fiscalYearEnd"), 10)
    pages = [page for page in _list(filings.get("files")) if isinstance(page, dict)]
    pages.sort(key=lambda page: _text(page.get("filingTo"), 10), reverse=True)
    return Filer(
        cik=cik,
        name=_text(data.get("name"), 300) or f"CIK {cik:010}",
        entity_type=_text(data.get("entityType"), 50),
        category=_BREAKS.sub("; ", _text(data.get("category"), 200)),
        sic=_text(data.get("sic"), 4),
        sic_description=_text(data.get("sicDescription"), 200),
        fiscal_year_end=year_end if _MMDD.fullmatch(year_end) else "",
        ein=_text(data.get("ein"), 20),
        state=_text(data.get("stateOfIncorporation"), 20),
        website=_text(data.get("website"), 300),
        tickers=tuple(
            {symbol: (symbol, place) for symbol, place in zip(tickers, exchanges, strict=False)}.values()
        ),
        former_names=tuple(_former(data.get("formerNames"))),
        rows=rows(filings.get("recent")),
        older=tuple(_text(page.get("name"), 100) for page in pages),
    )


def parse_older(content: bytes) -> tuple[Row, ...]:
    """Read a page of older filings: the bare columns. Raises SourceError."""
    return rows(load(content))


def rows(columns: Any) -> tuple[Row, ...]:
    """Make rows of columns. What lacks a number, a form or a day is no filing that we could name."""
    if not isinstance(columns, dict):
        raise broken()
    found = []
    for n, accession in enumerate(_list(columns.get("accessionNumber"))):
        cell = {name: values[n] for name, values in columns.items() if n < len(_list(values))}
        form, filed = _text(cell.get("form"), 20).upper(), _day(cell.get("filingDate"))
        if not (ACCESSION.fullmatch(str(accession)) and form and filed):
            continue
        found.append(
            Row(
                accession=str(accession),
                form=form,
                filing_date=filed,
                report_date=_period(_day(cell.get("reportDate")), filed),
                primary_document=_text(cell.get("primaryDocument"), 300),
                description=_text(cell.get("primaryDocDescription"), 300),
            )
        )
    return tuple(found)


def normal(symbol: str) -> str:
    """Write a ticker as the SEC does: upper case, a dash before the class (BRK.B and BRK/B are BRK-B)."""
    return re.sub(r"[./ ]+", "-", symbol.strip().upper())[:20]


def load(content: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises SourceError when it is none: half an answer is worth asking again."""
    try:
        data = json.loads(content)
    except ValueError as error:
        raise broken() from error
    if not isinstance(data, dict):
        raise broken()
    return data


def broken() -> SourceError:
    """Return the error of an answer that is not what was asked for."""
    return SourceError("sec_bad_answer", "The SEC's answer could not be read.", retryable=True)


def _former(values: Any) -> list[Former]:
    named = [one for one in _list(values) if isinstance(one, dict) and _text(one.get("name"), 300)]
    found = [Former(_text(one["name"], 300), _day(one.get("from")), _day(one.get("to"))) for one in named]
    return list({(one.name, one.since): one for one in found}.values())


def _is_cik(value: Any, cik: int) -> bool:
    text = str(value)
    return text.isascii() and text.isdigit() and int(text) == cik


def _day(value: Any) -> date | None:
    try:
        day = date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
    return day if day >= _FIRST_DAY else None


def _period(end: date | None, filed: date) -> date | None:
    """Return the end of a period unless it is after the filing or long before: 2105, 0201."""
    return end if end is not None and filed - _OLDEST_PERIOD <= end <= filed else None


def _text(value: Any, longest: int) -> str:
    return _SPACE.sub(" ", value).strip()[:longest] if isinstance(value, str) else ""


def _texts(values: Any) -> list[str]:
    return [one for one in _list(values) if isinstance(one, str) and one.strip()]


def _list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else []
