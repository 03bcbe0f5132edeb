"""The charts of the register: the figures of each dimension at the end of a year, and how they are drawn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any

from django.db.models import QuerySet, Sum

from ingestion.sources.imports.analytics.models import Cell, Reports
from ingestion.sources.imports.analytics.units import SIZES

MEASURES = {"units": "Units", "employees": "Employees", "turnover": "Turnover"}
DIMENSIONS = {"region": "Region", "activity": "Activity", "size": "Size", "year": "Year"}
TITLES = {"region": "By region", "activity": "By activity", "size": "By size", "year": "Over time"}

MOST_BARS = 12  # the rest is one bar more
MOST_ROWS = 1000  # of a table; the CSV has the rest
MOST_CODES = 10_000  # of a dimension: a register may give an address for a region. The rest is one line more
OTHERS = "others"
YEARS = 20  # drawn over time
OLDEST = 100  # years back that can be asked for

# Names of the sections. (NACE Rev. 2, shortened)
ACTIVITIES = {
    "A": "Agriculture, forestry, fishing",
    "B": "Mining and quarrying",
    "C": "Manufacturing",
    "D": "Electricity and gas",
    "E": "Water and waste",
    "F": "Construction",
    "G": "Trade",
    "H": "Transport and storage",
    "I": "Accommodation and food",
    "J": "Information, communication",
    "K": "Finance and insurance",
    "L": "Real estate",
    "M": "Professional services",
    "N": "Administrative services",
    "O": "Public administration",
    "P": "Education",
    "Q": "Health and social work",
    "R": "Arts and recreation",
    "S": "Other services",
    "T": "Households as employers",
    "U": "International bodies",
}
_ENDS = dict(zip(SIZES, [*(least - 1 for least in SIZES[1:]), None], strict=True))


@dataclass(frozen=True)
class Row:
    """A line of a table and what its bar shows."""

    code: str
    label: str
    units: int
    employees: int
    turnover: Decimal

    def of(self, measure: str) -> Decimal:
        """Return one of the three figures."""
        return Decimal(getattr(self, measure))


@dataclass(frozen=True)
class Bar:
    """A bar of a drawing, in its own units."""

    label: str
    value: str
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Return where its label stands below it."""
        return self.x + self.width / 2

    @property
    def end(self) -> float:
        """Return where its number stands behind it."""
        return self.x + self.width + 6

    @property
    def baseline(self) -> float:
        """Return where texts beside it stand."""
        return self.y + self.height - 4


@dataclass(frozen=True)
class Chart:
    """What a card of the page shows. text: the drawing in a sentence. ticks: lines with their number."""

    dimension: str
    title: str
    rows: Sequence[Row]
    more: int  # rows that the table leaves out
    bars: Sequence[Bar]
    text: str
    height: float
    ticks: Sequence[tuple[float, str]] = field(default=())

    @property
    def name(self) -> str:
        """Return what a row is about."""
        return DIMENSIONS[self.dimension]


def label(dimension: str, code: str) -> str:
    """Return how people call a code."""
    if not code:
        return "Not known"
    if dimension == "activity":
        return f"{code}, {ACTIVITIES[code]}"
    if dimension != "size":
        return code
    least = int(code)
    last = _ENDS[least]
    return (
        f"{least} and more"
        if last is None
        else f"{least} to {last}"
        if last > least
        else "None"
        if least == 0
        else code
    )


def others(count: int) -> str:
    """Return how what is summed up in one line is called."""
    return f"{count:,} other{'' if count == 1 else 's'}"


def figures(dimension: str, year: int) -> list[Row]:
    """Return the figures of a dimension at the end of a year: sizes in their order, others largest first."""
    cells = Cell.objects.filter(dimension=dimension, year__lte=year)
    ordered = _summed(cells.values("code")).exclude(units=0).order_by("-units", "code")
    found = list(ordered[: MOST_CODES + 1])
    rows = [_row(one["code"], label(dimension, one["code"]), one) for one in found[:MOST_CODES]]
    if dimension == "size":
        return sorted(rows, key=lambda row: int(row.code or -1))
    if len(found) > MOST_CODES:
        left = {name: sum(getattr(row, name) for row in rows) for name in MEASURES}
        whole = cells.aggregate(**{name: Sum(name) for name in MEASURES})
        rest = {name: whole[name] - left[name] for name in MEASURES}
        rows.append(_row(OTHERS, others(ordered.count() - MOST_CODES), rest))
    return rows


def over_time(last: int) -> list[Row]:
    """Return the figures of all units, year by year, the newest last."""
    units, employees, turnover = 0, 0, Decimal(0)
    found = []
    sums = _summed(Cell.objects.filter(dimension="all", year__lte=last).values("year"))
    changes = {one["year"]: one for one in sums}
    first = min((year for year in changes if year > last - OLDEST), default=last)
    for year in sorted({*changes, *range(first, last + 1)}):
        one = changes.get(year)
        if one is not None:
            units, employees = units + one["units"], employees + int(one["employees"])
            turnover += one["turnover"]
        if year >= first:
            found.append(Row(str(year), str(year), units, employees, turnover))
    return found


def _row(code: str, name: str, sums: Mapping[str, Any]) -> Row:
    return Row(code, name, sums["units"], int(sums["employees"]), sums["turnover"])


def _summed(cells: "QuerySet[Cell, Any]") -> "QuerySet[Cell, Any]":
    return cells.annotate(**{name: Sum(name) for name in MEASURES})


def rows_of(dimension: str, year: int) -> list[Row]:
    """Return the rows of a table."""
    return over_time(year) if dimension == "year" else figures(dimension, year)


def charts(measure: str, year: int) -> list[Chart]:
    """Return the four charts of the page."""
    return [_chart(dimension, rows_of(dimension, year), measure, year) for dimension in DIMENSIONS]


def position() -> tuple[int, Any]:
    """Return (version, time) of the figures; 0 and None when nothing was derived yet."""
    return Reports.objects.values_list("version", "derived_at").first() or (0, None)


def first_year(last: int) -> int:
    """Return the first year that the page offers."""
    years = Cell.objects.filter(dimension="all", year__gt=last - OLDEST, year__lte=last)
    return years.order_by("year").values_list("year", flat=True).first() or last


def _chart(dimension: str, rows: list[Row], measure: str, year: int) -> Chart:
    draw = _columns if dimension == "year" else _lines
    bars, height, ticks = draw(rows, measure)
    shown = list(reversed(rows)) if dimension == "year" else rows
    return Chart(
        dimension=dimension,
        title=TITLES[dimension],
        rows=shown[:MOST_ROWS],
        more=max(0, len(rows) - MOST_ROWS),
        bars=bars,
        text=_sentence(dimension, rows, measure, year),
        height=height,
        ticks=ticks,
    )


def _sentence(dimension: str, rows: list[Row], measure: str, year: int) -> str:
    if not rows:
        return "Nothing to draw."
    what = MEASURES[measure]
    if dimension == "year":
        drawn = rows[-YEARS:]
        return (
            f"{what} at the end of {drawn[0].label}: {number(drawn[0].of(measure))}; "
            f"of {drawn[-1].label}: {number(drawn[-1].of(measure))}."
        )
    most = sorted(rows, key=lambda row: -row.of(measure))[:3]
    told = "; ".join(f"{row.label}: {number(row.of(measure))}" for row in most)
    return f"{what} {TITLES[dimension].lower()} at the end of {year}. The largest: {told}."


def number(value: Decimal | int) -> str:
    """Write a figure with separators and without decimals."""
    return f"{value:,.0f}"


_WIDTH, _LABELS, _LINE = 620, 210, 24
_TOP, _FLOOR = 10, 160


def _lines(rows: list[Row], measure: str) -> tuple[list[Bar], float, list[tuple[float, str]]]:
    """Draw a bar a row, one below the other; what is beyond the largest ones is one bar."""
    drawn = [(row.label, row.of(measure)) for row in rows]
    if len(drawn) > MOST_BARS + 1:
        ordered = sorted(drawn, key=lambda pair: -pair[1])
        rest = ordered[MOST_BARS:]
        drawn = [*ordered[:MOST_BARS], (others(len(rest)), sum((pair[1] for pair in rest), Decimal(0)))]
    most = max((value for _, value in drawn), default=Decimal(0)) or Decimal(1)
    room = _WIDTH - _LABELS - 100  # for the number behind the bar
    bars = [
        Bar(
            _cut(name),
            number(value),
            x=_LABELS,
            y=place * _LINE + 4,
            width=max(1.0, round(float(max(value, Decimal(0)) / most) * room, 1)),
            height=_LINE - 8,
        )
        for place, (name, value) in enumerate(drawn)
    ]
    return bars, len(bars) * _LINE, []


def _columns(rows: list[Row], measure: str) -> tuple[list[Bar], float, list[tuple[float, str]]]:
    """Draw a bar a year, one beside the other, over lines of round numbers."""
    drawn = rows[-YEARS:]
    most = max((row.of(measure) for row in drawn), default=Decimal(0))
    step = _round_step(most)
    top = max(step * (most / step).to_integral_value(ROUND_CEILING), step)
    room = (_WIDTH - 70) / max(len(drawn), 1)
    every = -(-len(drawn) // 7)
    bars = []
    for place, row in enumerate(drawn):
        tall = round(float(max(row.of(measure), Decimal(0)) / top) * (_FLOOR - _TOP), 1)
        name = row.label if (len(drawn) - 1 - place) % every == 0 else ""
        x = round(70 + place * room + room * 0.12, 1)
        value = number(row.of(measure))
        bars.append(Bar(name, value, x=x, y=_FLOOR - tall, width=round(room * 0.76, 1), height=tall))
    ticks = [(round(_FLOOR - float(at / top) * (_FLOOR - _TOP), 1), _short(at)) for at in _steps(step, top)]
    return bars, 190, ticks


def _steps(step: Decimal, top: Decimal) -> Iterator[Decimal]:
    at = Decimal(0)
    while at <= top:
        yield at
        at += step


def _round_step(most: Decimal) -> Decimal:
    """Return a round number that divides the height into at most four."""
    step = Decimal(1)
    while True:
        for factor in (1, 2, 5):
            if most <= 4 * step * factor:
                return step * factor
        step *= 10


def _short(value: Decimal) -> str:
    for size, name in ((10**12, " tn"), (10**9, " bn"), (10**6, " M"), (10**3, " k")):
        if value >= size:
            return f"{(value / size).normalize():f}{name}"
    return f"{value:f}"


def _cut(text: str) -> str:
    return text if len(text) <= 26 else f"{text[:25]}…"
