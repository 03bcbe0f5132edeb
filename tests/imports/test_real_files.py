"""Every real file goes the real way and ends as written here."""

import json
from collections import Counter
from pathlib import Path

import pytest
from django.db.models import F

from ingestion.admission import Refused
from ingestion.sources.imports.models import Import, Unit
from tests.imports.conftest import Run, errors_of

pytestmark = [pytest.mark.realdata, pytest.mark.django_db(transaction=True)]

# file -> rows that end in the register
LOADED = {
    "frictionless/blank-rows.csv": 2,
    "frictionless/delimiter.csv": 2,
    "frictionless/encoding-issue-274.csv": 507,
    "frictionless/skip-rows-before-headers.csv": 2,
    "frictionless/table.csv.gz": 2,
    "ons-sbr/Complex_LUs.csv": 98,
    "ons-sbr/DTrade_Dummy_Frame.csv": 100,
    "ons-sbr/SBR_ENT_OUT.csv": 63,
    "ons-sbr/SBR_LU_OUT.csv": 157,
    "statbus/demo/formal_establishments_hierarchical_demo.csv": 22,
    "statbus/demo/formal_establishments_units_demo.csv": 25,
    "statbus/demo/informal_establishments_units_demo.csv": 25,
    "statbus/norway/history/2024-underenheter.csv": 3936,
    "statbus/norway/konsern-enheter.csv": 23,
    "statbus/norway/small-history/2015-underenheter.csv": 4,
    "statbus/norway/small-history/2016-underenheter.csv": 6,
    "statbus/norway/small-history/2017-underenheter.csv": 4,
    "statbus/norway/underenheter-selection-web-import.csv": 1305,
    "statbus/tests/04_legal-units-with-stats.csv": 10,
    "statbus/tests/345_duplicate_idents_history_import.csv": 5,
    "statbus/tests/34_formal_establishments.csv": 3,
    "statbus/tests/34_legal_units.csv": 2,
    "statbus/tests/43_legal-units-day-1.csv": 1,
    "statbus/tests/43_legal-units-day-3.csv": 1,
}

# file -> (good rows, {(column, code): bad rows}): these wait for review
REVIEWED = {
    "frictionless/blank-cells.csv": (4, {("name", "is_empty"): 1}),
    "frictionless/defective-rows.csv": (0, {("", "csv_row_width"): 2}),
    "frictionless/structure-errors.csv": (2, {("", "csv_row_width"): 1}),
    "frictionless/unique-field.csv": (7, {("id", "appears_twice"): 2}),
    "statbus/demo/legal_units_with_source_dates_demo.csv": (74, {("tax_ident", "period_overlaps"): 2}),
    "statbus/tests/318_albania_legal_units.csv": (
        291,
        {
            ("tax_ident", "period_overlaps"): 18,
            ("tax_ident", "is_empty"): 1,
            ("birth_date", "not_a_date"): 1,
            ("physical_latitude", "out_of_range"): 1,
        },
    ),
    "statbus/tests/340_duplicate_tax_ident_small_file.csv": (3, {("tax_ident", "appears_twice"): 2}),
    "statbus/tests/341_duplicate_tax_ident_big_file.csv": (
        560,
        {("tax_ident", "is_empty"): 37, ("tax_ident", "appears_twice"): 3},
    ),
}

MISSING = 'Column "{}" is missing. Found: '
# file -> (code, beginning of the sentence): refused before a job is made
REFUSED = {
    "frictionless/blank-headers.csv": ("csv_columns", "Column 2 has no name. Found: id, , age."),
    "frictionless/doublequote.csv": ("csv_columns", MISSING.format("tax_ident")),
    "frictionless/duplicate-column.csv": ("csv_columns", 'Column "B" appears twice. Found: A, B, B, C.'),
    "frictionless/empty.csv": ("file_empty", "The file is empty."),
    "frictionless/escaping.csv": ("csv_columns", MISSING.format("name")),
    "frictionless/implicit-zip.csv": ("file_type", "This is not a CSV file. Save the sheet as CSV."),
    "frictionless/issue-277.csv": ("csv_columns", MISSING.format("name")),
    "frictionless/issue-493.csv": ("csv_columns", MISSING.format("tax_ident")),
    "frictionless/leading-zeros.csv": ("csv_columns", MISSING.format("tax_ident") + "value."),
    # Greek or Cyrillic: two readings are as good, so nobody's names are guessed at.
    "frictionless/table-infer-iso-8859-7.csv": ("file_encoding", "Line 2 is not UTF-8 text."),
    "frictionless/table-unicode-headers.csv": ("csv_columns", MISSING.format("name")),
    "frictionless/table-with-accents.csv": (
        "csv_columns",
        MISSING.format("tax_ident") + "Classement, Quartier, Date, Année",
    ),
    "frictionless/without-headers.csv": ("csv_columns", MISSING.format("tax_ident") + "1, english."),
    "statbus/demo/activity_custom_isic_demo.csv": (
        "csv_columns",
        MISSING.format("tax_ident") + "path, name.",
    ),
    "statbus/demo/legal_forms_demo.csv": ("csv_columns", MISSING.format("tax_ident") + "code, name."),
    "statbus/demo/legal_units_turnover_update.csv": ("csv_columns", MISSING.format("name")),
    "statbus/demo/legal_units_turnover_update_with_source_dates.csv": ("csv_columns", MISSING.format("name")),
    "statbus/demo/regions_demo.csv": ("csv_columns", MISSING.format("tax_ident") + "path, name."),
    "statbus/demo/sectors_demo.csv": (
        "csv_columns",
        MISSING.format("tax_ident") + "path, name, description.",
    ),
    "statbus/norway/legal_form_norway.csv": ("csv_columns", MISSING.format("tax_ident") + "code, name."),
    "statbus/norway/norway-regions-2024.csv": ("csv_columns", MISSING.format("tax_ident") + "path, name."),
    "statbus/norway/sector_norway.csv": (
        "csv_columns",
        MISSING.format("tax_ident") + "path, name, description.",
    ),
    "unstructured/password_protected.xlsx": ("file_type", "This is not a"),
    "unstructured/semicolon-delimited.csv": (
        "csv_columns",
        MISSING.format("tax_ident") + "Lorem, ipsum, dolor sit, amet.",
    ),
}

# file -> (code, beginning of the sentence): only the whole file shows it
FAILED = {
    "unstructured/empty.xlsx": ("csv_no_rows", "The file has no rows."),
    "unstructured/stanley-cups.xlsx": (
        "csv_columns",
        MISSING.format("tax_ident") + "Team, Location, Stanley Cups.",
    ),
}

# Well-formed tables of other things load when a person says which column is which.
TOLD = {
    "statbus/demo/activity_custom_isic_demo.csv": (["path = tax_ident"], 6),
    "statbus/demo/regions_demo.csv": (["path = tax_ident"], 88),
    "statbus/norway/norway-regions-2024.csv": (["path = tax_ident"], 417),
    "statbus/norway/sector_norway.csv": (["path = tax_ident"], 33),
    "frictionless/without-headers.csv": (["1 = tax_ident", "english = name"], 2),
}


def test_every_file_has_an_expected_end(real_data: Path) -> None:
    folder = real_data / "csv"
    files = {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".csv", ".gz", ".xlsx")
    }
    spectrum = {f"csv-spectrum/{name}.csv" for name in SPECTRUM}
    assert files == {*LOADED, *REVIEWED, *REFUSED, *FAILED, *spectrum}


@pytest.mark.parametrize(("name", "rows"), LOADED.items())
def test_a_good_file_is_loaded(name: str, rows: int, real_data: Path, run: Run) -> None:
    imported = run((real_data / "csv" / name).read_bytes(), Path(name).name)
    assert (imported.job.state, imported.job.error) == ("completed", None)
    assert (imported.created, imported.updated, imported.rows_bad) == (rows, 0, 0)
    assert Unit.objects.count() == rows


@pytest.mark.parametrize(("name", "expected"), REVIEWED.items())
def test_bad_rows_wait_for_review(name: str, expected: tuple[int, dict], real_data: Path, run: Run) -> None:
    imported = run((real_data / "csv" / name).read_bytes(), Path(name).name)
    found = Counter(pair for columns in errors_of(imported).values() for pair in columns.items())
    assert imported.job.state == "waiting"
    assert (imported.rows_good, dict(found)) == expected
    assert not Unit.objects.exists()


@pytest.mark.parametrize(("name", "expected"), REFUSED.items())
def test_a_bad_file_is_refused(name: str, expected: tuple[str, str], real_data: Path, run: Run) -> None:
    from config.problems import Problem

    with pytest.raises((Refused, Problem)) as caught:
        run((real_data / "csv" / name).read_bytes(), Path(name).name, match="never")
    text = getattr(caught.value, "message", None) or caught.value.detail
    assert (caught.value.code, text[: len(expected[1])]) == expected
    assert not Import.objects.exists()


UNCLEAR = [
    name for name, (_, text) in REFUSED.items() if "is missing" in text and "leading-zeros" not in name
]


@pytest.mark.parametrize("name", UNCLEAR)
def test_a_table_of_something_else_waits_for_who_knows_its_columns(
    name: str, real_data: Path, run: Run
) -> None:
    imported = run((real_data / "csv" / name).read_bytes(), Path(name).name)
    assert (imported.job.state, imported.job.waiting_for["kind"]) == ("waiting", "match")
    assert [one.header for one in imported.proposed] == imported.header
    assert not imported.rows.exists()


@pytest.mark.parametrize(("name", "expected"), FAILED.items())
def test_what_only_the_whole_file_shows_fails_the_job(
    name: str, expected: tuple[str, str], real_data: Path, run: Run
) -> None:
    imported = run((real_data / "csv" / name).read_bytes(), Path(name).name, match="never")
    assert imported.job.state == "failed"
    assert (imported.job.error["code"], imported.job.error["text"][: len(expected[1])]) == expected


@pytest.mark.parametrize("name", [name for name, (_, rows) in TOLD.items() if rows])
def test_a_table_of_something_else_loads_when_told_how(name: str, real_data: Path, run: Run) -> None:
    chosen, rows = TOLD[name]
    imported = run((real_data / "csv" / name).read_bytes(), Path(name).name, columns=chosen, review="never")
    assert (imported.job.state, imported.created) == ("completed", rows)


SPECTRUM = [
    "comma_in_quotes",
    "empty",
    "empty_crlf",
    "escaped_quotes",
    "json",
    "location_coordinates",
    "newlines",
    "newlines_crlf",
    "quotes_and_newlines",
    "simple",
    "simple_crlf",
    "utf8",
]


@pytest.mark.parametrize("name", SPECTRUM)
def test_csv_spectrum_is_read_as_its_json_says(name: str, real_data: Path, run: Run) -> None:
    path = real_data / "csv" / "csv-spectrum" / f"{name}.csv"
    first, second = path.read_text().splitlines()[0].split(",")[:2]
    chosen = [f"{first} = tax_ident", f"{second} = name"]
    imported = run(path.read_bytes(), path.name, columns=chosen, review="always")
    rows = [dict(zip(imported.header, row.cells, strict=True)) for row in imported.rows.order_by("number")]
    expected = json.loads(path.with_suffix(".json").read_bytes())
    if name == "location_coordinates":  # its JSON is one object, with another telephone number than the CSV
        expected = [{**expected, "Contact Phone Number": "2095257564"}]
    if name == "newlines_crlf":  # the file has lost its carriage returns, its JSON has not
        expected = json.loads(json.dumps(expected).replace("\\r\\n", "\\n"))
    assert rows == expected


def test_codes_stay_text_and_dates_of_two_forms_are_read(real_data: Path, run: Run) -> None:
    run((real_data / "csv/statbus/norway/underenheter-selection-web-import.csv").read_bytes())
    unit = Unit.objects.get(tax_ident="812008862")
    assert (unit.physical_postcode, unit.primary_activity_category_code) == ("4020", "06.200")
    assert Unit.objects.filter(physical_postcode__startswith="0").exists()
    imported = run((real_data / "csv/statbus/tests/34_legal_units.csv").read_bytes())
    assert str(Unit.objects.filter(loaded_by=imported).first().birth_date) == "2016-10-01"
    assert not Unit.objects.filter(loaded_by=imported, valid_to__isnull=False).exists()  # infinity


def like_register(slug: str, drop: tuple[str, ...], **values: str) -> None:
    """Keep a definition with the columns of the default one, except some."""
    from ingestion.sources.imports.models import ImportDefinition, TargetColumn

    columns = TargetColumn.objects.filter(definition__slug="register").exclude(name__in=drop)
    row = ImportDefinition.objects.create(slug=slug, name=slug, **values)
    for column in columns:
        column.pk, column.definition = None, row
    TargetColumn.objects.bulk_create(columns)


def test_the_years_of_a_register_become_periods(real_data: Path, run: Run) -> None:
    like_register("yearly", ("valid_from", "valid_to"), validity="job")
    for year, rows in ((2015, 4), (2016, 6), (2017, 4)):
        name = f"{year}-underenheter.csv"
        imported = run(
            (real_data / "csv/statbus/norway/small-history" / name).read_bytes(),
            name,
            definition="yearly",
            valid_from=f"{year}-01-01",
            valid_to=f"{year}-12-31",
        )
        assert (imported.job.state, imported.created, imported.updated) == ("completed", rows, 0)
    assert Unit.objects.count() == 14
    assert not Unit.objects.exclude(valid_from__year=F("valid_to__year")).exists()


def test_a_later_day_ends_the_earlier(real_data: Path, run: Run) -> None:
    for day in (1, 3):
        name = f"43_legal-units-day-{day}.csv"
        run((real_data / "csv/statbus/tests" / name).read_bytes(), name)
    periods = Unit.objects.order_by("valid_from").values_list("valid_from", "valid_to")
    assert [tuple(map(str, period)) for period in periods] == [
        ("2025-03-01", "2025-03-02"),
        ("2025-03-03", "None"),
    ]


def test_figures_are_updated_by_files_without_names(real_data: Path, run: Run) -> None:
    folder = real_data / "csv/statbus/demo"
    like_register("figures", ("name",), mode="update")
    units = run((folder / "legal_units_with_source_dates_demo.csv").read_bytes(), review="never")
    before = dict(Unit.objects.values_list("pk", "turnover"))
    update = (folder / "legal_units_turnover_update.csv").read_bytes()
    imported = run(update, definition="figures", review="never")
    assert (units.created, imported.created, imported.updated) == (74, 0, 25)
    assert Unit.objects.filter(loaded_by=imported).count() == 25
    dated = (folder / "legal_units_turnover_update_with_source_dates.csv").read_bytes()
    late = run(dated, definition="figures")
    # Summer 2023 lies within the year that the register has: nothing says what the rest of it would be.
    assert Counter(code for row in errors_of(late).values() for code in row.values()) == {
        "period_overlaps": 9
    }
    assert set(before) == set(Unit.objects.values_list("pk", flat=True))
