"""The page of the charts: drawings, tables and CSV say the same figures; it renews itself."""

import csv
import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from ingestion.sources.imports.analytics import charts
from ingestion.sources.imports.analytics.models import Cell
from ingestion.sources.imports.analytics.source import run_chain
from ingestion.sources.imports.models import Unit
from tests.imports.conftest import Run

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = """tax_ident,name,birth_date,death_date,region_code,primary_activity_category_code,employees,turnover
1,a,2019-05-01,,03,62.01,3,1000.50
2,b,2020-05-01,,03,01.11,0,20
3,c,2020-05-01,2021-06-30,46,62.09,250,5000000
4,d,2021-02-01,,=1+1,,,
"""


@pytest.fixture
def figures(run: Run) -> None:
    run(ROWS)
    run_chain()


@pytest.fixture
def page(alice: User, client: Client) -> Any:
    client.force_login(alice)

    def get(path: str = "/charts/", **headers: str) -> str:
        answer = client.get(path, headers=headers)
        assert answer.status_code == 200, answer.status_code
        return answer.content.decode()

    return get


def table(text: str) -> list[list[str]]:
    return list(csv.reader(text.splitlines()))


def test_figures_of_each_dimension_at_the_end_of_a_year(figures: None) -> None:
    def told(dimension: str, year: int) -> list[tuple[Any, ...]]:
        return [(row.code, row.units, row.employees) for row in charts.figures(dimension, year)]

    assert told("region", 2020) == [("03", 2, 3), ("46", 1, 250)]
    assert told("region", 2021) == [("03", 2, 3), ("=1+1", 1, 0)]
    assert told("activity", 2020) == [("J", 2, 253), ("A", 1, 0)]
    assert told("size", 2021) == [("", 1, 0), ("0", 1, 0), ("1", 1, 3)]
    assert told("size", 2018) == []
    assert [(row.code, row.units) for row in charts.over_time(2022)] == [
        ("2019", 1),
        ("2020", 3),
        ("2021", 3),
        ("2022", 3),
    ]


def test_of_very_many_regions_the_smallest_are_one_line(
    run: Run, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts, "MOST_CODES", 2)
    regions = ["a", "a", "a", "b", "b", "c", "d"]
    rows = "".join(f"{n},x,2020-01-01,{code},{n}\n" for n, code in enumerate(regions))
    run("tax_ident,name,birth_date,region_code,employees\n" + rows)
    run_chain()
    found = [(row.label, row.units, row.employees) for row in charts.figures("region", 2020)]
    assert found == [("a", 3, 3), ("b", 2, 7), ("2 others", 2, 11)]
    assert table(page("/charts/region.csv?year=2020"))[3] == ["others", "2 others", "2", "11", "0"]
    monkeypatch.setattr(charts, "MOST_CODES", 3)
    assert table(page("/charts/region.csv?year=2020"))[4] == ["others", "1 other", "1", "6", "0"]
    monkeypatch.setattr(charts, "MOST_CODES", 4)
    assert len(charts.figures("region", 2020)) == 4


def test_the_page_the_table_and_the_csv_say_the_same(figures: None, page: Any) -> None:
    shown = page("/charts/?year=2020&of=employees")
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th>((?:<td class=\"num\">[^<]*</td>)+)</tr>", shown)
    cells = [[name, *re.findall(r">([^<]*)</td>", values)] for name, values in rows]
    assert ["J, Information, communication", "2", "253", "5,001,000"] in cells
    assert ["250 and more", "1", "250", "5,000,000"] in cells
    assert ["2020", "3", "253", "5,001,020"] in cells
    assert (
        "Employees by activity at the end of 2020. The largest: J, Information, communication: 253" in shown
    )
    assert table(page("/charts/activity.csv?year=2020")) == [
        ["activity", "name", "units", "employees", "turnover"],
        ["J", "J, Information, communication", "2", "253", "5001000.5"],
        ["A", "A, Agriculture, forestry, fishing", "1", "0", "20"],
    ]
    assert table(page("/charts/year.csv?year=2021"))[1:] == [
        ["2019", "2019", "1", "3", "1000.5"],
        ["2020", "2020", "3", "253", "5001020.5"],
        ["2021", "2021", "3", "3", "1020.5"],
    ]


@pytest.mark.seed("SEC46")
def test_no_spreadsheet_runs_a_code(figures: None, page: Any) -> None:
    assert ["'=1+1", "'=1+1", "1", "0", "0"] in table(page("/charts/region.csv?year=2021"))


def test_bars_are_as_long_as_their_figures(figures: None) -> None:
    chart = charts.charts("employees", 2020)[1]
    longest, shortest = chart.bars
    assert (longest.label, shortest.width) == ("J, Information, communica…", 1.0)
    assert longest.width == 310
    over = charts.charts("units", 2021)[3]
    assert [round(bar.height / over.bars[0].height, 1) for bar in over.bars] == [1, 3, 3]
    assert over.ticks[0][1] == "0" and all(bar.y + bar.height == 160 for bar in over.bars)


def test_many_codes_are_one_bar_more_and_negative_sums_none(alice: User) -> None:
    from ingestion.sources.imports.analytics.models import Change

    names = [f"{n:03d}" for n in range(40)]
    for n, name in enumerate(names):
        Unit.objects.create(
            tax_ident=name, name=name, physical_region_code=name, employees=n, turnover=Decimal(-n)
        )
        Change.objects.create(collected=1, part=0, tax_ident=name)
    run_chain()
    chart = charts.charts("employees", timezone.now().year)[0]
    assert len(chart.bars) == charts.MOST_BARS + 1 and len(chart.rows) == 40
    assert (chart.bars[-1].label, chart.bars[-1].value) == ("28 others", f"{sum(range(28)):,}")
    assert all(bar.width == 1.0 for bar in charts.charts("turnover", timezone.now().year)[0].bars)
    assert all(bar.height == 0 for bar in charts.charts("turnover", timezone.now().year)[3].bars)


def test_a_part_of_the_page_is_fetched_when_the_figures_move(figures: None, page: Any) -> None:
    whole, part = page(), page("/charts/", hx_target="charts")
    version = charts.position()[0]
    assert f'data-live="reports" data-version="{version}"' in whole
    assert part.lstrip().startswith('<div id="charts"') and "<html" not in part


def test_odd_questions_get_this_year_and_unknown_charts_nothing(
    figures: None, page: Any, client: Client
) -> None:
    for odd in ("year=1", "year=9999", "year=%C2%B2020", "of=x&year=", "of=__class__"):
        assert f'<option value="{timezone.now().year}" selected>' in page(f"/charts/?{odd}")
    assert client.get("/charts/all.csv").status_code == 404
    assert client.post("/charts/").status_code == 405
    client.logout()
    assert client.get("/charts/").status_code == 302


def test_without_figures_the_page_says_where_they_come_from(page: Any) -> None:
    assert "There are no figures yet" in page()
    assert table(page("/charts/region.csv")) == [["region", "name", "units", "employees", "turnover"]]


@pytest.mark.parametrize(
    ("most", "step"), [(0, 1), (3, 1), (5, 2), (40, 10), (81, 50), (9 * 10**6, 5 * 10**6)]
)
def test_lines_are_round_numbers(most: int, step: int) -> None:
    assert charts._round_step(Decimal(most)) == step


@pytest.mark.parametrize("most", [1, 3, 4, 5000, 4999, 8001])
def test_no_column_is_higher_than_its_lines(most: int) -> None:
    (chart,) = [one for one in _drawn(most) if one.dimension == "year"]
    assert min(bar.y for bar in chart.bars) >= min(y for y, _ in chart.ticks) >= 0


def _drawn(units: int) -> list[charts.Chart]:
    Cell.objects.create(dimension="all", code="", year=2020, units=units, employees=0, turnover=0)
    return charts.charts("units", 2026)


def test_programs_read_the_same_figures(figures: None, alice: User, client: Client) -> None:
    assert client.get("/api/charts").status_code == 401
    client.force_login(alice)
    about = client.get("/api/charts").json()
    version, derived_at = charts.position()
    assert (about["version"], about["last_year"]) == (version, timezone.now().year)
    assert derived_at is not None and about["derived_at"][:19] == derived_at.isoformat()[:19]
    assert (about["first_year"], list(about["dimensions"])) == (2019, ["region", "activity", "size", "year"])

    told = client.get("/api/charts/activity?year=2020").json()
    assert told["rows"] == [
        {
            "code": "J",
            "label": "J, Information, communication",
            "units": 2,
            "employees": 253,
            "turnover": "5001000.5000000000",
        },
        {"code": "A", "label": "A, Agriculture, forestry, fishing", "units": 1, "employees": 0}
        | {"turnover": "20.0000000000"},
    ]
    assert (told["year"], told["version"], told["next"]) == (2020, version, None)
    for path, status in (("sex", 404), ("region?year=20", 400), ("region?month=1", 400)):
        assert client.get(f"/api/charts/{path}").status_code == status, path


def test_programs_page_through_the_figures(figures: None, alice: User, client: Client) -> None:
    client.force_login(alice)
    codes, cursor = [], ""
    while cursor is not None:
        page = client.get(
            "/api/charts/region", {"limit": 1, "year": 2021, **({"cursor": cursor} if cursor else {})}
        )
        codes += [row["code"] for row in page.json()["rows"]]
        cursor = page.json()["next"]
    assert codes == ["03", "=1+1"]
    first = client.get("/api/charts/region", {"limit": 1, "year": 2021}).json()["next"]
    Unit.objects.filter(tax_ident="1").delete()
    run_chain()
    assert client.get("/api/charts/region", {"year": 2021, "cursor": first}).status_code == 400
