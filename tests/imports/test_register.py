"""The register a page at a time: by identifier and period, as its index goes; numbers have no index."""

import csv
import io
import re
from collections.abc import Iterable
from datetime import date
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config import paging, spreadsheets
from config.statements import execute
from ingestion.sources.imports import finding, top_search, views
from ingestion.sources.imports.models import Unit
from tests.imports.conftest import Run
from tests.imports.plans import rows_read, told

pytestmark = pytest.mark.django_db(transaction=True)

# In the order of the register: by identifier, the newest period first, the one since ever last.
ROWS = [("1", 2025), ("1", 2024), ("1", None), ("2", None), ("3", 2024), ("4", 2023), ("4", None)]
MANY = 3000
FEW = 200  # a page, and some to find it by


@pytest.fixture
def web(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def periods(transactional_db: None) -> None:
    """Units of ROWS, written in another order."""
    for ident, year in sorted(ROWS, key=lambda row: (row[1] or 0, row[0])):
        starts = date(year, 1, 1) if year else None
        Unit.objects.create(tax_ident=ident, name=f"{ident} of {year}", valid_from=starts)


@pytest.fixture
def many(transactional_db: None) -> None:
    """A register that no page should read as a whole."""
    execute(
        "INSERT INTO imports_unit (tax_ident, stat_ident, name)"
        " SELECT lpad(n::text, 6, '0'), 'S' || n, 'Unit ' || n FROM generate_series(1, %s) AS n",
        [MANY],
    )


@pytest.fixture
def words(many: None) -> None:
    """Their names, as the statistics leave them to the search."""
    execute("INSERT INTO analytics_words SELECT tax_ident, to_tsvector('simple', name) FROM imports_unit")
    execute("ANALYZE analytics_words")


def read_few(asked: Iterable[dict[str, str]]) -> None:
    """Assert that what was asked of the register looked at few of its rows."""
    statements = told(asked, "imports_unit")
    assert statements
    for statement in statements:
        assert rows_read(statement)[0] <= FEW, statement


def listed(web: Client, limit: int, **asked: Any) -> list[str]:
    """Return the names of all units, by the API."""
    found: list[str] = []
    while True:
        answer = web.get("/api/units", {"limit": limit, **asked}).json()
        found += [unit["name"] for unit in answer["units"]]
        if answer["next"] is None:
            return found
        asked["cursor"] = answer["next"]


def file_of(web: Client, path: str) -> list[str]:
    """Return the names of a CSV file of units."""

    answer: Any = web.get(path)

    async def whole() -> str:
        return b"".join([part async for part in answer]).decode("utf-8-sig")

    return [row["Name"] for row in csv.DictReader(io.StringIO(async_to_sync(whole)(), newline=""))]


@pytest.mark.parametrize("size", [1, 2, 7])
def test_pages_programs_and_files_have_each_unit_once_in_one_order(
    size: int, periods: None, web: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{ident} of {year}" for ident, year in ROWS]
    assert listed(web, size) == names
    monkeypatch.setattr(spreadsheets, "BATCH", size)
    assert file_of(web, "/imports/units.csv") == names
    monkeypatch.setattr(views, "PAGE", size)
    shown, path = [], "/imports/units/"
    while path:
        page = web.get(path).content.decode()
        shown += re.findall(r"<td>(\d of \w+)</td>", page)
        assert ("First page" in page) == ("cursor=" in path)
        following = re.search(r'href="(\?cursor=[^"]+)" rel="next"', page)
        path = f"/imports/units/{following[1]}" if following else ""
    assert shown == names


def test_the_longest_identifiers_have_a_next_page(web: Client) -> None:
    for n in range(3):
        Unit.objects.create(tax_ident=f"{'🦦' * 199}{n}", name=str(n))
    assert listed(web, 1) == ["0", "1", "2"]


def test_a_cursor_of_another_search_is_the_beginning_and_no_answer_to_programs(
    periods: None, web: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "PAGE", 1)
    of_all = web.get("/api/units", {"limit": 1}).json()["next"]
    old = paging.make_cursor(paging.Scope("units", 0, {"q": ""}), 7)
    for cursor in (of_all, old, "x", ""):
        page = web.get("/imports/units/", {"q": "1", "cursor": cursor}).content.decode()
        assert "1 of 2025" in page and "First page" not in page
        refused = web.get("/api/units", {"q": "1", "cursor": cursor})
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_cursor")


@pytest.mark.parametrize("path", ["/api/units", "/imports/units/"])
@pytest.mark.parametrize("q", ["", "002000", "S2000", "unit 2000"])
def test_no_page_reads_the_whole_register(path: str, q: str, many: None, words: None, web: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        answer = web.get(path, {"q": q})
    assert answer.status_code == 200 and ("Unit 2000" in answer.text) == bool(q)
    read_few(asked)


def test_no_page_from_the_middle_reads_what_is_before_it(many: None, alice: User) -> None:
    scope = paging.Scope("register", alice.pk, {"q": ""})
    cursor = paging.make_cursor(scope, ["001500", None])
    with CaptureQueriesContext(connection) as asked:
        shown, _ = finding.page(alice, "", cursor, 50)
    assert [unit.tax_ident for unit in shown] == [f"{n:06d}" for n in range(1501, 1551)]
    read_few(asked)


def test_a_file_reads_each_unit_once(many: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheets, "BATCH", 20)
    pages = spreadsheets._pages(finding.search(""), ["name"], finding.ORDER)
    with CaptureQueriesContext(connection) as asked:
        assert [len(next(pages)) for _ in range(3)] == [20] * 3
    read_few(asked)


def test_the_search_of_all_reads_few_units(many: None, alice: User) -> None:
    with CaptureQueriesContext(connection) as asked:
        (hit,) = top_search._found(alice, "S2000", 5)
    assert hit.title == "Unit 2000"
    read_few(asked)


def test_the_search_of_all_shows_a_unit_once_by_its_newest_name(periods: None, alice: User) -> None:
    execute(
        "INSERT INTO analytics_words SELECT tax_ident, to_tsvector('simple', string_agg(name, ' '))"
        " FROM imports_unit GROUP BY tax_ident"
    )
    hits = top_search._found(alice, "of", 4)
    assert [hit.sub for hit in hits] == ["1", "2", "3", "4"]
    assert [hit.title for hit in hits] == ["1 of 2025", "2 of None", "3 of 2024", "4 of 2023"]


def test_what_ends_earlier_periods_looks_for_its_units_alone(many: None, run: Run) -> None:
    file = "tax_ident,name,valid_from\n000007,a,2024-01-01\n000009,b,2025-01-01\n"
    with CaptureQueriesContext(connection) as asked:
        run(file, review="never")
    ends = Unit.objects.filter(valid_to__isnull=False).values_list("tax_ident", "valid_to")
    assert dict(ends) == {"000007": date(2023, 12, 31), "000009": date(2024, 12, 31)}
    statements = [
        one for one in told(asked, "imports_unit") if one.lstrip().startswith("UPDATE imports_unit")
    ]
    assert len(statements) == 1
    assert rows_read(statements[0])[0] <= 20
