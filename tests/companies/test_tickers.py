"""Whose ticker is it (DATA B1)."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from ingestion.management.parameters import params_of, read_pairs
from ingestion.source import SourceError, get
from ingestion.sources.companies import tickers
from ingestion.sources.companies.client import Sec
from ingestion.sources.companies.models import Company, Listing, Ticker
from ingestion.sources.companies.sample import standin as bundled
from tests.asking import Job
from tests.companies.standin import Page, Standin
from tests.waiting import until

pytestmark = pytest.mark.django_db
LIST = "/files/company_tickers.json"
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"


def find(ticker: str) -> int:
    with Sec(Job()) as asking:  # type: ignore[arg-type]
        return tickers.find_cik(asking, ticker)


def grow_old() -> None:
    Listing.objects.update(read_at=Now() - timedelta(days=2))


@pytest.mark.realdata
def test_the_whole_list_is_kept_and_its_odd_tickers_are_found(sec: Standin, real_data: Path) -> None:
    sec.record(real_data / "sec")
    assert find("AAPL") == 320193
    assert Ticker.objects.filter(listed=True).count() == 9610
    for symbol in ("TRUE", "ON", "NA", "NAN"):
        assert get("companies").params.model_validate({"ticker": symbol}).ticker == symbol  # type: ignore[attr-defined]
        assert find(symbol) == Ticker.objects.get(symbol=symbol).cik
    assert find("BRK.B") == find("BRK/B") == find("BRK-A")
    assert find("GOOG") == find("GOOGL")
    assert tickers.nearest("MSFO") == "MSFT"
    assert sec.paths == [LIST]


@pytest.mark.parametrize("symbol", ["TRUE", "ON", "NA", "NAN", "NULL", "1"])
def test_a_command_line_takes_any_ticker_as_text(symbol: str) -> None:
    source = get("companies")
    params = params_of(source, read_pairs([f"ticker={symbol}"]))
    assert source.params.model_validate(params).ticker == symbol  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["", "  ", "../x", "A" * 21, "A B?", "\u0391", "<b>", "%00"])
def test_what_is_no_ticker_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"A ticker has letters|Please enter a ticker symbol|at most"):
        get("companies").params.model_validate({"ticker": text})


def test_an_unknown_ticker_names_the_nearest(sec: Standin) -> None:
    sec.tickers(("MSFT", 789019), ("MSFX", 5))
    with pytest.raises(SourceError) as caught:
        find("MSFO")
    told = "SEC EDGAR has no company with ticker MSFO. Did you mean MSFT?"
    assert (caught.value.message, caught.value.code, caught.value.retryable) == (
        told,
        "unknown_ticker",
        False,
    )
    with pytest.raises(SourceError, match=r"ticker ZZZZZZ\.$"):
        find("ZZZZZZ")
    assert sec.paths == [LIST]  # just read: asked once for both


def test_a_cik_is_taken_at_its_word(sec: Standin) -> None:
    assert find("CIK1009672") == find("0001009672") == 1009672
    assert sec.asked == []


def test_the_list_is_read_again_after_a_day_and_only_if_it_changed(sec: Standin) -> None:
    sec.tickers(("FB", 1326801), ("ABC", 9), headers={"ETag": '"1"'})
    assert find("FB") == 1326801
    assert find("FB") == 1326801 and len(sec.asked) == 1
    grow_old()
    find("FB")
    assert sec.asked[1].headers["if-none-match"] == '"1"'
    grow_old()
    sec.tickers(("META", 1326801), ("FB", 77), headers={"ETag": '"2"'})
    assert find("FB") == 77  # given to somebody else
    assert Ticker.objects.get(symbol="FB", cik=1326801).is_former
    assert find("ABC") == 9  # a former ticker still finds its company


def test_a_list_that_cannot_be_read_again_does_not_stop_what_is_known(sec: Standin) -> None:
    sec.tickers(("ABC", 9))
    find("ABC")
    grow_old()
    for page in (Page(b"", 503), Page(b"", 404), Page(b"<html>busy</html>"), Page(b"{}")):
        sec.mood = lambda path, page=page: page  # type: ignore[misc]
        assert find("ABC") == 9
    with pytest.raises(SourceError) as caught:
        find("DEF")
    assert caught.value.code == "sec_bad_answer"
    assert Ticker.objects.get(symbol="ABC").listed  # an empty list makes nobody a former one


def test_what_a_filer_says_and_what_the_list_says_may_differ(sec: Standin) -> None:
    sec.tickers(("VINC", 1))
    find("VINC")
    vincerx = Company.objects.create(cik=1, name="Vincerx")
    siemens = Company.objects.create(cik=2, name="Siemens Energy AG/ADR")
    tickers.report(vincerx, [])
    tickers.report(siemens, [("SMEGF", "OTC")])
    assert (tickers.known_cik("VINC"), tickers.known_cik("SMEGF")) == (1, 2)
    tickers.report(siemens, [])
    assert Ticker.objects.get(symbol="SMEGF").is_former


@pytest.mark.django_db(transaction=True)
def test_the_list_and_a_company_never_wait_for_each_other(
    sec: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list holds ABC when the company comes, whose former ticker it wants next."""
    company = Company.objects.create(cik=7, name="ABC Corp")
    Ticker.objects.create(symbol="OLD", cik=7, listed=True, reported=True)
    Ticker.objects.create(symbol="ABC", cik=7)
    sec.tickers(("ABC", 7))
    plain, threads = tickers.execute, []

    def report() -> None:
        with transaction.atomic():
            tickers.report(company, [("ABC", "Nasdaq")])
        connections.close_all()

    def slow(sql: str, params: Any) -> Any:
        rows = plain(sql, params)
        if sql == tickers._WRITE:
            threads.append(threading.Thread(target=report))
            threads[0].start()
            until(lambda: plain(WAITING), 20, "the company to wait for the list")
        return rows

    monkeypatch.setattr(tickers, "execute", slow)
    with Sec(Job()) as asking:  # type: ignore[arg-type]
        tickers.read_list(asking)
    threads[0].join()
    told = Ticker.objects.order_by("symbol").values_list("symbol", "listed", "reported")
    assert list(told) == [("ABC", True, True), ("OLD", False, False)]


def test_the_sample_and_the_real_list_leave_each_other_alone(sec: Standin) -> None:
    with Sec(Job(), bundled=True) as asking:  # type: ignore[arg-type]
        assert tickers.find_cik(asking, bundled.TICKER) == bundled.CIK
    sec.tickers(("ABC", 9))
    find("ABC")
    with Sec(Job(), bundled=True) as asking:  # type: ignore[arg-type]
        tickers.read_list(asking)
    assert Ticker.objects.filter(listed=True).count() == 2


def test_jobs_that_bring_the_list_together_collide_in_no_statement(sec: Standin) -> None:
    """The row of the list is made by who holds its lock, so that the other one finds it."""
    sec.tickers(("ABC", 9))
    with Sec(Job()) as asking, CaptureQueriesContext(connection) as asked:  # type: ignore[arg-type]
        tickers.read_list(asking)
    said = [one["sql"] for one in asked]
    made = next(n for n, sql in enumerate(said) if 'INTO "companies_listing"' in sql)
    assert any("pg_advisory_xact_lock(" in sql for sql in said[:made])


def test_tickers_are_looked_up_in_our_own_table_alone(sec: Standin) -> None:
    source: Any = get("companies")
    Ticker.objects.create(symbol="GOOG", cik=1652044, listed=True)
    Ticker.objects.create(symbol="GOOGL", cik=1652044, reported=True)
    keys = [source.unique_key(source.params(ticker=one)) for one in ("GOOG", "googl", "CIK1652044", "NEW")]
    assert keys == ["1652044", "1652044", "1652044", "NEW"]
    assert sec.asked == []
