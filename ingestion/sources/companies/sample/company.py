"""A company that we made up, and what it filed: five annual reports and one amendment."""

from dataclasses import dataclass
from typing import Any

CIK = 9_999_999_001  # the SEC gave out two million numbers so far
NAME = "Lantern Hill Ferries, Inc."


@dataclass(frozen=True)
class Filing:
    """A report of the made-up company."""

    form: str
    year: int
    filed: str
    number: int

    @property
    def accession(self) -> str:
        """Return its number, as the SEC writes one."""
        return f"{CIK}-{self.filed[2:4]}-{self.number:06}"

    @property
    def document(self) -> str:
        """Return the file name of its document."""
        return f"lhf-{self.year}1231{'a' if self.form.endswith('/A') else ''}.htm"


FILINGS = (
    Filing("10-K", 2025, "2026-02-26", 3),
    Filing("10-K", 2024, "2025-02-27", 2),
    Filing("10-K/A", 2023, "2024-04-18", 9),
    Filing("10-K", 2023, "2024-02-29", 4),
    Filing("10-K", 2022, "2023-02-28", 5),
    Filing("10-K", 2021, "2022-03-01", 2),
)
# Year: revenue, net income, assets, in dollars.
FIGURES = {
    2025: (412_600_000, 38_900_000, 701_200_000),
    2024: (377_100_000, 29_400_000, 668_500_000),
    2023: (352_800_000, 21_700_000, 640_900_000),
    2022: (318_300_000, -6_200_000, 627_300_000),
    2021: (241_500_000, -44_800_000, 633_100_000),
}
_SECTIONS = (
    (
        "1",
        "Business",
        "We carry people, bicycles and freight across the sound between eleven harbours with a fleet of"
        " fourteen ships. In {year} our ships made {trips:,} crossings. Fares are set once a year together"
        " with the harbour authorities, and most of our passengers hold a season ticket. Four of our ships"
        " run on batteries, which are charged at the quay while passengers board.",
    ),
    (
        "1A",
        "Risk Factors",
        "Fog, ice and high wind keep our ships in harbour on some days of each winter, and on those days we"
        " earn nothing while our crews are paid. A bridge across the sound has been discussed for thirty"
        " years; if it were built, we would lose most of our freight. Our newest ships depend on a single"
        " maker of batteries. A longer repair of one ship in summer cannot be made good by the others.",
    ),
    (
        "3",
        "Legal Proceedings",
        "A former supplier of paint asks us for damages because we ended its contract after two seasons."
        " We believe that the claim has no basis and have set nothing aside for it. Besides this we are"
        " party to the usual small disputes about luggage, delays and parked cars, none of which would"
        " change our figures noticeably if it were decided against us.",
    ),
    (
        "7",
        "Management's Discussion and Analysis of Financial Condition and Results of Operations",
        "Revenue was {revenue} million dollars in {year}. The change came from the number of passengers more"
        " than from fares. Fuel was our second largest cost after wages; it fell with each ship that was"
        " converted to batteries. Net income was {income} million dollars. We paid for two conversions from"
        " what we earned and drew nothing from our line of credit.",
    ),
    (
        "9A",
        "Controls and Procedures",
        "Our chief executive and our chief of finance looked at how figures find their way from the ticket"
        " machines into our books and found it to be effective at the end of {year}. Nothing in it changed"
        " in the last quarter that could have made it less so. No control can exclude every mistake, and"
        " ours is not meant to cost more than what it protects.",
    ),
)
_REPEATS = 6  # so that a section is as long as one that is read as a section


def submissions(ticker: str) -> dict[str, Any]:
    """Return who it is and what it filed, as data.sec.gov would."""
    return {
        "cik": f"{CIK:010}",
        "entityType": "operating",
        "sic": "4400",
        "sicDescription": "Water Transportation",
        "name": NAME,
        "tickers": [ticker],
        "exchanges": ["Made up"],
        "ein": "000000000",
        "category": "Accelerated filer",
        "fiscalYearEnd": "1231",
        "stateOfIncorporation": "ME",
        "formerNames": [
            {
                "name": "Lantern Hill Steam Packet Co",
                "from": "1994-03-01T00:00:00.000Z",
                "to": "2009-06-30T00:00:00.000Z",
            }
        ],
        "filings": {
            "recent": {
                "accessionNumber": [one.accession for one in FILINGS],
                "form": [one.form for one in FILINGS],
                "filingDate": [one.filed for one in FILINGS],
                "reportDate": [f"{one.year}-12-31" for one in FILINGS],
                "primaryDocument": [one.document for one in FILINGS],
                "primaryDocDescription": [one.form for one in FILINGS],
            },
            "files": [],
        },
    }


def facts() -> dict[str, Any]:
    """Return its figures, as data.sec.gov would."""
    concepts: dict[str, list[dict[str, Any]]] = {"Revenues": [], "NetIncomeLoss": [], "Assets": []}
    for filing in FILINGS:
        if filing.form.endswith("/A"):
            continue
        period = {"start": f"{filing.year}-01-01", "end": f"{filing.year}-12-31"}
        told = {
            "accn": filing.accession,
            "fy": filing.year,
            "fp": "FY",
            "form": "10-K",
            "filed": filing.filed,
        }
        revenue, income, assets = FIGURES[filing.year]
        concepts["Revenues"].append({**period, "val": revenue, **told})
        concepts["NetIncomeLoss"].append({**period, "val": income, **told})
        concepts["Assets"].append({"end": period["end"], "val": assets, **told})
    return {
        "cik": CIK,
        "entityName": NAME,
        "facts": {
            "us-gaap": {
                name: {"label": name, "description": "", "units": {"USD": entries}}
                for name, entries in concepts.items()
            }
        },
    }


def document(filing: Filing) -> str:
    """Return the HTML of one of its filings: contents first, then the Items."""
    title = f"<h1>{NAME}</h1><p>Form {filing.form} for the year ended December 31, {filing.year}</p>"
    if filing.form.endswith("/A"):
        return f"<html><body>{title}<p>This amendment adds the names of our directors.</p></body></html>"
    contents = "".join(f"<p>Item {item}. {name} . . . {n * 7}</p>" for n, (item, name, _) in _numbered())
    revenue, income, _ = FIGURES[filing.year]
    values = {
        "year": filing.year,
        "trips": 31_000 + 700 * (filing.year - 2021),
        "revenue": f"{revenue / 1e6:.1f}",
        "income": f"{income / 1e6:.1f}",
    }
    bodies = "".join(
        f"<h2>Item {item}. {name}</h2>" + f"<p>{text.format(**values)}</p>" * _REPEATS
        for _, (item, name, text) in _numbered()
    )
    return f"<html><head><title>{filing.form}</title></head><body>{title}{contents}{bodies}</body></html>"


def _numbered() -> list[tuple[int, tuple[str, str, str]]]:
    return list(enumerate(_SECTIONS, 1))
