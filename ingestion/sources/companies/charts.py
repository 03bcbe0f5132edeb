"""The chart of a company's page, drawn by the server. A year that is not known is a gap, never a zero."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ingestion.sources.companies.figures import Year

LEFT, TOP, FLOOR, WIDTH = 40, 14, 160, 580  # of the drawing, in its own units
TICKS = 4  # lines at most
MOST_YEARS = 10


@dataclass(frozen=True)
class Bar:
    """One bar with its number above, or below when it is a loss."""

    x: float
    y: float
    width: float
    height: float
    text: str
    text_y: float

    @property
    def middle(self) -> float:
        """Return where its number stands."""
        return self.x + self.width / 2


@dataclass(frozen=True)
class Column:
    """A year: its bars, or why there is none."""

    year: int
    x: float
    width: float
    revenue: Bar | None
    income: Bar | None
    gap: str

    @property
    def middle(self) -> float:
        """Return where its year stands."""
        return self.x + self.width / 2


@dataclass(frozen=True)
class Chart:
    """The drawing. ticks: (y, number). unit: of the numbers, in words. text: all of it in sentences."""

    columns: Sequence[Column]
    ticks: Sequence[tuple[float, str]]
    unit: str
    text: str
    gaps: Sequence[int]


def chart(years: Sequence[Year], why: dict[int, str]) -> Chart | None:
    """Draw years, the oldest first, or nothing where nothing is known.

    why: of a year without figures, why it has none.
    """
    years = years[-MOST_YEARS:]
    values = [value for one in years for value in (one.revenue, one.net_income) if value is not None]
    if not values:
        return None
    scale, word = _scale(max(abs(value) for value in values))
    low, high, step = _bounds([value / scale for value in values])

    def y(value: Decimal) -> float:
        return float(FLOOR - (value - low) / (high - low) * (FLOOR - TOP))

    wide = WIDTH / len(years)
    columns = [_column(one, LEFT + n * wide, wide, scale, y, why) for n, one in enumerate(years)]
    ticks = [
        (y(low + step * n), f"{(low + step * n).normalize():f}") for n in range(int((high - low) / step) + 1)
    ]
    currency = next((one.unit for one in years if one.unit), "")
    return Chart(
        columns=columns,
        ticks=ticks,
        unit=" ".join(part for part in ("US$" if currency == "USD" else currency, word) if part),
        text=" ".join(_sentence(one, scale, why) for one in reversed(years)),
        gaps=[one.year for one in years if one.revenue is None and one.net_income is None],
    )


def _column(
    one: Year, x: float, wide: float, scale: Decimal, y: Callable[[Decimal], float], why: dict[int, str]
) -> Column:
    zero, size = y(Decimal(0)), wide * 0.36

    def bar(value: Decimal | None, place: float) -> Bar | None:
        if value is None:
            return None
        end = y(value / scale)
        top, height = min(end, zero), max(abs(end - zero), 1.0)
        text_y = top - 5 if value >= 0 else top + height + 12
        return Bar(place, top, size, height, f"{value / scale:.1f}", text_y)

    revenue, income = bar(one.revenue, x + wide * 0.12), bar(one.net_income, x + wide * 0.52)
    gap = "" if revenue or income else why.get(one.year, "not known")
    return Column(one.year, x + wide * 0.12, wide * 0.76, revenue, income, gap)


def _scale(largest: Decimal) -> tuple[Decimal, str]:
    for power, word in ((9, "billion"), (6, "million"), (3, "thousand")):
        if largest >= Decimal(10) ** power:
            return Decimal(10) ** power, word
    return Decimal(1), ""


def _bounds(values: Sequence[Decimal]) -> tuple[Decimal, Decimal, Decimal]:
    """Return the lowest and highest line and the step between lines: 1, 2 or 5 of some power of ten."""
    top, bottom = max(*values, Decimal(0)), min(*values, Decimal(0))
    reach = max(top - bottom, Decimal("0.001"))
    power = Decimal(10) ** (reach.adjusted() - 1)
    step = next(power * n for n in (1, 2, 5, 10, 20, 50, 100) if power * n * TICKS >= reach)
    low = (bottom / step).to_integral_value(rounding="ROUND_FLOOR") * step
    high = (top / step).to_integral_value(rounding="ROUND_CEILING") * step
    return low, max(high, low + step), step


def _sentence(one: Year, scale: Decimal, why: dict[int, str]) -> str:
    if one.revenue is None and one.net_income is None:
        return f"{one.year}: {why.get(one.year, 'not known')}."
    known = (("revenue", one.revenue), ("net income", one.net_income))
    told = [
        f"{name} {value / scale:.1f}" if value is not None else f"{name} not known" for name, value in known
    ]
    return f"Fiscal {one.year}: {', '.join(told)}."
