"""Which of a company's filings are its annual reports, what amends which, and of what year each is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ingestion.sources.companies.submissions import Row

# Of domestic filers, and of foreign ones. NT 10-K is a notice of being late, not a report.
FAMILY = {"10-K": "10-K", "10-K405": "10-K", "10-KT": "10-K", "20-F": "20-F", "40-F": "40-F"}
AMENDED = "/A"
_SPILL = timedelta(days=7)  # by how much a year of 52 or 53 weeks may end in the next January
_NEAR = timedelta(days=31)  # by how much an amendment may name another end of the same period
LONGEST_GAP = 10  # years without a report that are named, one by one, before a year with one


@dataclass(frozen=True)
class Report:
    """An annual report and what amended it, in the order of filing. An amendment replaces nothing."""

    row: Row
    amendments: tuple[Row, ...]


def is_report(form: str) -> bool:
    """Say whether a form is an annual report itself."""
    return form in FAMILY


def annual_reports(rows: Iterable[Row], count: int) -> list[Report]:
    """Return the latest reports, the last filed first, at most `count`."""
    every = list({row.accession: row for row in rows}.values())
    newest = sorted(
        (row for row in every if is_report(row.form)),
        key=lambda row: (row.filing_date, row.accession),
        reverse=True,
    )
    by_report: dict[str, list[Row]] = {}
    for row in every:
        if row.form.endswith(AMENDED) and (original := _amended_by(row, newest)) is not None:
            by_report.setdefault(original.accession, []).append(row)
    return [
        Report(row, tuple(sorted(by_report.get(row.accession, []), key=lambda one: one.filing_date)))
        for row in newest[:count]
    ]


def _amended_by(row: Row, reports: Sequence[Row]) -> Row | None:
    """Return the report that an amendment is of: of its period, or the last before it where one says none.

    Some amendments end a year of 52 or 53 weeks with its month, so near enough is the same period. None when
    the report is none of these, for example on a page that was not read.
    """
    family = FAMILY.get(row.form.removesuffix(AMENDED))
    before = [one for one in reports if FAMILY[one.form] == family and one.filing_date <= row.filing_date]
    end = row.report_date
    if end is None:
        return next(iter(before), None)
    apart = {one: abs(one.report_date - end) for one in before if one.report_date is not None}
    nearest = min(apart, key=lambda one: apart[one], default=None)
    if nearest is not None and apart[nearest] <= _NEAR:
        return nearest
    return next((one for one in before if one.report_date is None), None)


def fiscal_year(row: Row, year_end: str) -> int:
    """Return the year that a report is of: the one its period ends in.

    year_end: MMDD as the filer says it; used where a report says no period.
    """
    if row.report_date is not None:
        spilt = (year_end or "1231") >= "1215" and row.report_date.month == 1
        return (row.report_date - _SPILL * spilt).year
    if not year_end:
        return row.filing_date.year - 1
    return row.filing_date.year - (year_end > f"{row.filing_date:%m%d}")


def missing_years(years: Iterable[int], count: int) -> list[int]:
    """Return the years without a report among the last `count` up to the newest report, newest first.

    Of a longer gap between two reports only the last years are named.
    """
    known = set(years)
    if not known:
        return []
    reach = max(count - 1, LONGEST_GAP)
    oldest = min(*known, max(known) - count + 1)
    return [
        year
        for year in range(max(known), oldest - 1, -1)
        if year not in known and min(one for one in known if one > year) - year <= reach
    ]


def end_of_year(year_end: str) -> str:
    """Return MMDD in words, "30 June"; empty when it is not known."""
    try:
        day = date(2000, int(year_end[:2]), int(year_end[2:]))  # a leap year: 0229 is a day
    except ValueError:
        return ""
    return f"{day.day} {day:%B}"
