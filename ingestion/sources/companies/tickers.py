"""Whose ticker is it? A table of our own, filled from the SEC's list and from what filers say themselves."""

import re
import string
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models.functions import Now

from config.statements import execute
from ingestion.clock import ClockTimestamp
from ingestion.source import SourceError
from ingestion.sources.companies.client import MOST_LIST, Sec
from ingestion.sources.companies.models import LARGEST_CIK, Company, Listing, Ticker
from ingestion.sources.companies.sample import standin
from ingestion.sources.companies.submissions import broken, load, normal

log = structlog.get_logger(__name__)

FRESH = timedelta(days=1)  # how long the list is taken as it is
ASKED_JUST_NOW = timedelta(minutes=10)  # for a ticker that is not in it
_CIK = re.compile(r"(?:CIK)?([0-9]{1,10})", re.ASCII)
_LOCK = 6  # first key of the advisory lock; 1 to 5 are those of the engine, analytics and loading
# Who reads the list writes tickers of all companies in two goes, so that no order of rows would keep it and a
# company's own job from waiting for each other.
_ALONE = "SELECT pg_advisory_xact_lock(%s, 0)"
_TOGETHER = "SELECT pg_advisory_xact_lock_shared(%s, 0)"
_WRITE = """
    INSERT INTO companies_ticker (symbol, cik, name, exchange, rank, listed, reported)
    SELECT symbol, cik, name, '', n, true, false
    FROM unnest(%s::text[], %s::bigint[], %s::text[]) WITH ORDINALITY AS new(symbol, cik, name, n)
    ORDER BY symbol, cik
    ON CONFLICT (symbol, cik) DO UPDATE SET name = excluded.name, rank = excluded.rank, listed = true
    WHERE (companies_ticker.name, companies_ticker.rank, companies_ticker.listed)
        IS DISTINCT FROM (excluded.name, excluded.rank, true)
"""
_DROP = """
    UPDATE companies_ticker SET listed = false, rank = NULL
    WHERE listed AND cik <> ALL(%s::bigint[]) AND (symbol, cik) NOT IN (
        SELECT * FROM unnest(%s::text[], %s::bigint[]))
"""


def known_cik(text: str) -> int | None:
    """Return whose a ticker is, as far as we know, without asking anybody; a CIK is taken at its word."""
    number = _CIK.fullmatch(text)
    if number is not None:
        return int(number[1]) or None
    found = Ticker.objects.filter(symbol=normal(text)).order_by("-listed", "-reported", "-pk").first()
    return found.cik if found else None


def find_cik(sec: Sec, ticker: str) -> int:
    """Return whose a ticker is. Raises SourceError when the SEC knows nobody by it."""
    known = known_cik(ticker)
    if known is not None and (_CIK.fullmatch(ticker) or _is_read(sec, FRESH)):
        return known
    if known is not None or not _is_read(sec, ASKED_JUST_NOW):
        try:
            read_list(sec)
        except SourceError as error:
            if known is None:
                raise
            log.warning("ticker_list_unread", error=error.code)  # whose it is is known; the list can wait
    found = known_cik(ticker)
    if found is None:
        raise unknown(ticker)
    return found


def unknown(ticker: str) -> SourceError:
    """Return the error of a ticker that nobody has, with the nearest that somebody has."""
    near = nearest(ticker)
    guess = f" Did you mean {near}?" if near else ""
    return SourceError("unknown_ticker", f"SEC EDGAR has no company with ticker {ticker}.{guess}")


def nearest(ticker: str) -> str | None:
    """Return the listed ticker that differs in one letter: another, one more, one less, or two swapped."""
    symbol = normal(ticker)
    letters = string.ascii_uppercase + "-"
    cuts = [(symbol[:n], symbol[n:]) for n in range(len(symbol) + 1)]
    near = {a + b[1:] for a, b in cuts if b} | {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    near |= {a + one + b for a, b in cuts for one in letters}
    near |= {a + one + b[1:] for a, b in cuts if b for one in letters}
    found = Ticker.objects.filter(symbol__in=near, listed=True).order_by("rank").first()
    return found.symbol if found else None


def read_list(sec: Sec) -> None:
    """Bring the table up to date with the SEC's list; what the list lacks stays, as not listed."""
    url = sec.tickers_url()
    listing = Listing.objects.filter(url=url).first()
    answer = sec.ask(url, MOST_LIST, *([listing.etag, listing.modified] if listing else []))
    if answer is None:
        Listing.objects.filter(url=url).update(read_at=Now())
        return
    symbols, ciks, names = _parse(answer.content)
    with transaction.atomic():
        execute(_ALONE, [_LOCK])
        Listing.objects.get_or_create(url=url)
        execute(_WRITE, [symbols, ciks, names])
        if not sec.bundled:
            execute(_DROP, [list(standin.CIKS), symbols, ciks])
        Listing.objects.filter(url=url).update(
            etag=answer.etag, modified=answer.modified, read_at=ClockTimestamp()
        )


def report(company: Company, tickers: Sequence[tuple[str, str]]) -> None:
    """Write which tickers, as (symbol, exchange), a company says it has."""
    with transaction.atomic():
        execute(_TOGETHER, [_LOCK])
        gone = Ticker.objects.filter(cik=company.cik, reported=True).exclude(
            symbol__in=[one for one, _ in tickers]
        )
        gone.update(reported=False)
        Ticker.objects.bulk_create(
            [
                Ticker(symbol=symbol, cik=company.cik, name=company.name, exchange=exchange, reported=True)
                for symbol, exchange in sorted(tickers)
            ],
            update_conflicts=True,
            unique_fields=["symbol", "cik"],
            update_fields=["exchange", "reported"],
        )


def _is_read(sec: Sec, within: timedelta) -> bool:
    since = ClockTimestamp() - within
    return Listing.objects.filter(url=sec.tickers_url(), read_at__gt=since).exists()


def _parse(content: bytes) -> tuple[list[str], list[int], list[str]]:
    found: dict[tuple[str, int], str] = {}
    for entry in load(content).values():
        if isinstance(entry, dict) and (pair := _pair(entry)) is not None:
            found.setdefault(pair, " ".join(str(entry.get("title") or "").split())[:300])
    if not found:
        raise broken()  # an empty list would make every ticker a former one
    return [symbol for symbol, _ in found], [cik for _, cik in found], list(found.values())


def _pair(entry: dict[str, Any]) -> tuple[str, int] | None:
    symbol, cik = entry.get("ticker"), str(entry.get("cik_str"))
    if not isinstance(symbol, str) or not symbol.strip() or not (cik.isascii() and cik.isdigit()):
        return None
    return (normal(symbol), int(cik)) if 0 < int(cik) <= LARGEST_CIK else None
