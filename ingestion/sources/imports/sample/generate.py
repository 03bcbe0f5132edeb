"""Write the sample register: 5,000 made-up businesses, the same ones every time.

Run it to make `register.csv` again: python -m ingestion.sources.imports.sample.generate
"""

import csv
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TextIO

FILE = Path(__file__).with_name("register.csv")
ROWS = 5000
SEED = 20_261_118

HEADER = [
    "tax_ident",
    "name",
    "birth_date",
    "physical_address_part1",
    "physical_postcode",
    "physical_postplace",
    "physical_region_code",
    "physical_country_iso_2",
    "primary_activity_category_code",
    "legal_form_code",
    "employees",
    "turnover",
]

FIRST = [
    "Amber",
    "Birch",
    "Cedar",
    "Copper",
    "Dune",
    "Ember",
    "Fern",
    "Flint",
    "Granite",
    "Harbour",
    "Heather",
    "Indigo",
    "Juniper",
    "Kestrel",
    "Lantern",
    "Linden",
    "Marble",
    "Meadow",
    "Nettle",
    "Oak",
    "Orchard",
    "Pebble",
    "Quarry",
    "Raven",
    "Rowan",
    "Saffron",
    "Sorrel",
    "Tamarisk",
    "Thistle",
    "Umber",
    "Velvet",
    "Willow",
    "Wren",
    "Yarrow",
    "Zephyr",
    "Ørsta",
    "Élan",
    "Müritz",
    "Łąka",
    "Čapek",
]
SECOND = [
    "Bakery",
    "Boats",
    "Bridge",
    "Carpentry",
    "Ceramics",
    "Cold Store",
    "Consulting",
    "Dairy",
    "Electric",
    "Engineering",
    "Fish",
    "Forestry",
    "Freight",
    "Garden",
    "Glass",
    "Grain",
    "Hotel",
    "Joinery",
    "Kitchens",
    "Laundry",
    "Logistics",
    "Machines",
    "Mills",
    "Optics",
    "Paint",
    "Paper",
    "Press",
    "Roofing",
    "Seeds",
    "Software",
    "Stone",
    "Textiles",
    "Tiles",
    "Timber",
    "Tools",
    "Transport",
    "Vineyard",
    "Wool",
    "Workshop",
]
FORMS = [
    ("10", "Ltd", 55),
    ("20", "& Sons", 15),
    ("30", "Cooperative", 10),
    ("40", "Group", 8),
    ("50", "", 12),
]
ACTIVITIES = [
    "01.610",
    "02.200",
    "03.110",
    "10.710",
    "13.200",
    "16.230",
    "23.310",
    "25.620",
    "33.120",
    "41.200",
    "43.210",
    "46.390",
    "47.110",
    "49.410",
    "55.100",
    "56.101",
    "62.010",
    "69.201",
    "70.220",
    "96.010",
]
PLACES = [
    ("0301", "0150", "Northmouth"),
    ("1103", "4006", "Saltby"),
    ("1508", "6003", "Ferryhaven"),
    ("3201", "1360", "Lakefield"),
    ("3301", "3017", "Kingsmill"),
    ("3401", "2212", "Pinehurst"),
    ("3901", "3126", "Castleford End"),
    ("4204", "4611", "Sandhaven"),
    ("4601", "5003", "Rainmere"),
    ("5001", "7010", "Fjordgate"),
    ("5501", "9008", "Polar Bay"),
]
STREETS = [
    "Harbour Street",
    "Mill Lane",
    "Station Road",
    "Church Hill",
    "Market Square",
    "River Walk",
    "Long Acre",
    "Quarry Road",
    "School Lane",
    "Bridge Street",
    "Orchard Way",
    "Old Wharf",
]


def rows() -> Iterator[list[str]]:
    """Yield the register's rows, the header first."""
    yield HEADER
    draw = random.Random(SEED)
    idents = draw.sample(range(1_000_000, 99_999_999), ROWS)
    for ident in idents:
        form, ending, _ = draw.choices(FORMS, [weight for _, _, weight in FORMS])[0]
        name = f"{draw.choice(FIRST)} {draw.choice(SECOND)} {ending}".strip()
        if draw.random() < 0.03:
            name = f"{name}, {draw.choice(FIRST)} branch"  # a comma, so that a cell is quoted
        region, postcode, place = draw.choice(PLACES)
        employees = 0 if form == "50" else int(draw.paretovariate(1.1))
        yield [
            f"{ident:09d}",  # leading zeros are part of it
            name,
            (date(1975, 1, 1) + timedelta(days=draw.randrange(18_500))).isoformat(),
            f"{draw.choice(STREETS)} {draw.randrange(1, 160)}",
            postcode,
            place,
            region,
            "NO",
            draw.choice(ACTIVITIES),
            form,
            str(min(employees, 20_000)),
            str(min(employees, 20_000) * draw.randrange(60_000, 220_000)),
        ]


def write(file: TextIO) -> None:
    """Write the register as CSV."""
    csv.writer(file, lineterminator="\n").writerows(rows())


if __name__ == "__main__":
    with FILE.open("w", encoding="utf-8", newline="") as out:
        write(out)
