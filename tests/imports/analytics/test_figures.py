"""The figures: what a year counts, and that adding up changes comes to the same as counting everything."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from ingestion.sources.imports.analytics import cells, units
from ingestion.sources.imports.analytics.models import Cell, Change, StatisticalUnit
from ingestion.sources.imports.analytics.source import run_chain
from ingestion.sources.imports.models import Unit


def changed(*idents: str) -> None:
    """Log identifiers as changed, in two parts."""
    Change.objects.bulk_create(
        [Change(collected=1, part=hash(one) % 2, tax_ident=one) for one in idents], ignore_conflicts=True
    )


def statistics(**unit: Any) -> list[tuple[Any, ...]]:
    """Return what becomes of one unit."""
    Unit.objects.create(tax_ident="1", name="a", **unit)
    changed("1")
    run_chain()
    rows = StatisticalUnit.objects.values_list(
        "first_year", "last_year", "region", "activity", "size", "employees"
    )
    return list(rows)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("unit", "years"),
    [
        ({}, [(0, None)]),
        ({"birth_date": date(2019, 12, 31)}, [(2019, None)]),
        ({"birth_date": date(2019, 3, 1), "death_date": date(2021, 12, 30)}, [(2019, 2020)]),
        ({"birth_date": date(2019, 3, 1), "death_date": date(2021, 12, 31)}, [(2019, 2021)]),
        ({"valid_from": date(2020, 1, 1), "birth_date": date(1990, 1, 1)}, [(2020, None)]),
        ({"valid_from": date(2020, 1, 1), "valid_to": date(2020, 6, 30)}, []),
        ({"valid_to": date(9999, 12, 31)}, [(0, 9999)]),
    ],
)
def test_a_year_counts_who_is_valid_on_its_last_day(
    unit: dict[str, Any], years: list[tuple[Any, ...]]
) -> None:
    assert [row[:2] for row in statistics(**unit)] == years


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("code", "letter"),
    [("01.110", "A"), ("62010", "J"), ("G47", "G"), ("g", "G"), ("04", ""), ("", ""), ("x1", ""), ("9", "")],
)
def test_the_section_is_read_from_codes_as_registers_write_them(code: str, letter: str) -> None:
    assert statistics(primary_activity_category_code=code)[0][3] == letter


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("employees", "size"), [(None, ""), (0, "0"), (1, "1"), (4, "1"), (5, "5"), (249, "100"), (10**15, "250")]
)
def test_the_size_class_is_named_by_its_least_number(employees: int | None, size: str) -> None:
    assert statistics(employees=employees)[0][4] == size


IDENTS = ["1", "2", "3", "4"]
periods = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.integers(0, 800),
        st.sampled_from(["", "03", "46"]),
        st.sampled_from(["01", "62", "?", ""]),
        st.none() | st.integers(0, 300),
        st.none() | st.decimals(-1000, 1000, places=2),
        st.booleans(),
    ),
    max_size=3,
)
steps = st.lists(st.tuples(st.sampled_from(IDENTS), periods, st.booleans()), max_size=6)


def write(ident: str, rows: list[tuple[Any, ...]]) -> None:
    """Give an identifier these periods, one after another, instead of those it has."""
    Unit.objects.filter(tax_ident=ident).delete()
    start = date(2018, 6, 1)
    for place, (gap, length, region, activity, employees, turnover, still) in enumerate(rows):
        start += timedelta(gap)
        last = place == len(rows) - 1
        end = None if last and still else start + timedelta(length)
        Unit.objects.create(
            tax_ident=ident,
            name="x",
            valid_from=start,
            valid_to=end,
            physical_region_code=region,
            primary_activity_category_code=activity,
            employees=employees,
            turnover=turnover,
        )
        start = (end or start) + timedelta(1)


def counted(year: int) -> dict[tuple[str, str], tuple[int, int, Decimal]]:
    """Count the register at the end of a year, unit by unit."""
    found: dict[tuple[str, str], list[Any]] = defaultdict(lambda: [0, 0, Decimal(0)])
    day = date(year, 12, 31)
    for unit in Unit.objects.all():
        if unit.valid_from > day or (unit.valid_to is not None and unit.valid_to < day):
            continue
        code = unit.primary_activity_category_code
        section = units.section(int(code)) if code.isdigit() else ""
        least = max([n for n in units.SIZES if n <= (unit.employees or 0)])
        size = "" if unit.employees is None else str(least)
        for cell in (
            ("all", ""),
            ("region", unit.physical_region_code),
            ("activity", section),
            ("size", size),
        ):
            found[cell][0] += 1
            found[cell][1] += unit.employees or 0
            found[cell][2] += unit.turnover or 0
    return {cell: (values[0], values[1], values[2]) for cell, values in found.items()}


def told(year: int) -> dict[tuple[str, str], tuple[int, int, Decimal]]:
    """Return what the cells say of the end of a year."""
    found: dict[tuple[str, str], list[Any]] = defaultdict(lambda: [0, 0, Decimal(0)])
    for cell in Cell.objects.filter(year__lte=year):
        row = found[cell.dimension, cell.code]
        row[0], row[1], row[2] = row[0] + cell.units, row[1] + cell.employees, row[2] + cell.turnover
    return {cell: (row[0], int(row[1]), row[2]) for cell, row in found.items() if any(row)}


class Figures(TestCase):
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(steps=steps)
    def test_changes_added_up_are_what_counting_everything_gives(self, steps: list[Any]) -> None:
        for ident, rows, derived in steps:
            write(ident, rows)
            changed(ident)
            if derived:
                run_chain()
        run_chain()
        for year in range(2017, 2030):
            assert told(year) == counted(year), year
        assert not Cell.objects.filter(units=0, employees=0, turnover=0).exists()
        kept = sorted(Cell.objects.values_list()), sorted(StatisticalUnit.objects.values_list(), key=str)
        with transaction.atomic():
            StatisticalUnit.objects.all().delete()
            changed(*IDENTS)
            run_chain()
            cells.make_anew()
        anew = sorted(Cell.objects.values_list()), sorted(StatisticalUnit.objects.values_list(), key=str)
        assert anew == kept
