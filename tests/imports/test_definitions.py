"""Definitions live in the database, are edited in the admin, and each import keeps the one it began with."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError, transaction
from django.test import Client

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.forms import source_form
from ingestion.source import get
from ingestion.sources.imports import targets
from ingestion.sources.imports.default import DEFAULT
from ingestion.sources.imports.definition import Column, Definition
from ingestion.sources.imports.models import CodeList, Import, ImportDefinition, TargetColumn
from tests.imports.conftest import Run, definition, store

pytestmark = pytest.mark.django_db

DEFINITIONS = "/admin/imports/importdefinition/"
CODE_LISTS = "/admin/imports/codelist/"


@pytest.fixture
def desk(staff: User) -> Client:
    client = Client()
    client.force_login(staff)
    return client


def row(**values: object) -> dict[str, object]:
    return {"position": 1, "label": "x", "type": "text", "longest": 200, **values}


def form(rows: list[dict[str, object]], **values: object) -> dict[str, object]:
    """Return what the page of a new definition posts."""
    sent: dict[str, object] = {
        "slug": "mine",
        "name": "Mine",
        "mode": "insert_or_update",
        "validity": "columns",
        "empty": "na,-",
        "columns-TOTAL_FORMS": len(rows),
        "columns-INITIAL_FORMS": 0,
        "matches-TOTAL_FORMS": 0,
        "matches-INITIAL_FORMS": 0,
        **values,
    }
    for place, one in enumerate(rows):
        sent |= {f"columns-{place}-{name}": value for name, value in one.items()}
    return sent


KEYS = [row(name="tax_ident", required="on"), row(name="name", required="on")]


def test_the_migration_puts_the_default_there() -> None:
    assert ImportDefinition.objects.get(slug="register").snapshot() == DEFAULT
    assert targets.problems(DEFAULT) == []


def test_an_operator_makes_a_code_list_and_a_definition(desk: Client) -> None:
    lines = "01 = Farming\n02 = Mining\n\n03"
    assert desk.post(f"{CODE_LISTS}add/", {"name": "NACE", "lines": lines}).status_code == 302
    codes = CodeList.objects.get()
    shown = desk.get(f"{CODE_LISTS}{codes.pk}/change/").content.decode()
    assert "02 = Mining" in shown
    activity = row(name="primary_activity_category_code", type="enum", codes=codes.pk, default="mining")
    assert desk.get(f"{DEFINITIONS}add/").status_code == 200
    response = desk.post(f"{DEFINITIONS}add/", form([*KEYS, activity]))
    assert response.status_code == 302, response.context["errors"]
    made = ImportDefinition.objects.get(slug="mine").snapshot()
    column = made.column("primary_activity_category_code")
    assert column is not None
    assert (column.codes, column.filled()) == ({"01": "Farming", "02": "Mining", "03": ""}, "02")
    assert (made.is_empty("-"), made.is_empty("NA"), made.is_empty("null")) == (True, True, False)
    assert (
        "tax_ident"
        in desk.get(f"{DEFINITIONS}{ImportDefinition.objects.get(slug='mine').pk}/change/").content.decode()
    )


def test_a_saved_code_list_is_exactly_what_was_pasted(desk: Client) -> None:
    desk.post(f"{CODE_LISTS}add/", {"name": "Forms", "lines": "AS = Limited\nENK = Sole"})
    codes = CodeList.objects.get()
    desk.post(f"{CODE_LISTS}{codes.pk}/change/", {"name": "Forms", "lines": "AS = Company"})
    assert list(codes.codes.values_list("code", "label")) == [("AS", "Company")]
    for wrong in ("= x", "A = 1\nA = 2", "x" * 201, "\n".join(map(str, range(5001)))):
        assert (
            desk.post(f"{CODE_LISTS}{codes.pk}/change/", {"name": "Forms", "lines": wrong}).status_code == 200
        )


@pytest.mark.parametrize(
    ("rows", "values", "text"),
    [
        (KEYS[1:], {}, "tax_ident must be a required column without a default."),
        (KEYS[:1], {}, "name must be a required column, or have a default: new units need a name."),
        ([*KEYS, row(name="valid_from", type="date")], {"validity": "job"}, "the period comes from the job"),
        ([*KEYS, row(name="employees", type="text")], {}, "employees can be integer, not text."),
        ([*KEYS, row(name="valid_from", type="end_date")], {}, "the end of a period, and only it"),
        ([*KEYS, row(name="employees", type="integer", default="many")], {}, "the default is not a whole"),
        ([*KEYS, row(name="employees", type="integer", least=5, most=1)], {}, "least is more than most."),
        ([*KEYS, row(name="sector_code", type="enum")], {}, "A code list belongs to the type enum"),
        ([*KEYS, row(name="stat_ident", longest=201)], {}, "stat_ident can hold 200 characters."),
        ([*KEYS, KEYS[0]], {}, "Please correct the duplicate"),
    ],
)
def test_a_definition_that_cannot_work_is_refused_in_words(
    desk: Client, rows: list[dict[str, object]], values: dict[str, object], text: str
) -> None:
    response = desk.post(f"{DEFINITIONS}add/", form(rows, **values))
    assert response.status_code == 200
    assert text in response.content.decode()
    assert not ImportDefinition.objects.filter(slug="mine").exists()


def test_an_update_needs_no_name(desk: Client) -> None:
    assert desk.post(f"{DEFINITIONS}add/", form(KEYS[:1], mode="update")).status_code == 302


def test_who_only_looks_changes_nothing(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    client = Client()
    client.force_login(User.objects.get(pk=alice.pk))
    assert client.get(DEFINITIONS).status_code == 403
    alice.user_permissions.add(Permission.objects.get(codename="view_all_jobs"))
    assert client.get(DEFINITIONS).status_code == 200
    assert client.post(f"{DEFINITIONS}add/", form(KEYS)).status_code == 403


def test_the_database_refuses_what_no_form_sends() -> None:
    definition = ImportDefinition.objects.get(slug="register")
    wrong = [
        lambda: ImportDefinition.objects.create(slug="a", name="a", mode="delete"),
        lambda: ImportDefinition.objects.create(slug="a", name="a", validity="both"),
        lambda: TargetColumn.objects.create(definition=definition, name="name", label="x", type="text"),
        lambda: TargetColumn.objects.create(definition=definition, name="x", label="x", type="enum"),
    ]
    for make in wrong:
        with pytest.raises(IntegrityError), transaction.atomic():
            make()


def test_the_copy_of_an_older_import_is_still_read() -> None:
    old = {
        "name": "x",
        "mode": "insert_or_update",
        "columns": [{"name": "tax_ident", "label": "x", "synonyms": []}],
    }
    assert Definition.from_json(old) == Definition(name="x", columns=(Column(name="tax_ident", label="x"),))


@pytest.mark.django_db(transaction=True)
def test_an_edit_never_changes_a_running_import(run: Run) -> None:
    imported = run("tax_ident,name\n1,a\n2,\n")
    TargetColumn.objects.filter(definition__slug="register", name="name").update(required=False)
    imported.refresh_from_db()
    name = imported.rules.column("name")
    assert name is not None and name.required
    assert imported.made_from == ImportDefinition.objects.get(slug="register")
    assert imported.slug == f"register-{imported.pk}"


@pytest.mark.parametrize(
    ("validity", "params", "field"),
    [
        ("columns", {"definition": "nothing"}, "definition"),
        ("columns", {"valid_from": "2024-01-01"}, "valid_from"),
        ("columns", {"valid_to": "2024-01-01"}, "valid_to"),
        ("job", {}, "valid_from"),
        ("job", {"valid_from": "2024-01-01", "valid_to": "2023-01-01"}, "valid_to"),
    ],
)
def test_the_period_comes_from_one_place(run: Run, validity: str, params: dict[str, str], field: str) -> None:
    definition(validity=validity)
    with pytest.raises(Refused) as caught:
        run("tax_ident,name\n1,a\n", **{"definition": "mine", **params})
    assert [one["field"] for one in caught.value.errors] == [field]
    assert not Import.objects.exists()


def test_a_definition_broken_by_hand_is_refused_in_words(run: Run) -> None:
    row = definition()
    row.columns.filter(name="name").delete()
    with pytest.raises(Refused) as caught:
        run("tax_ident,name\n1,a\n", definition="mine")
    assert caught.value.errors[0]["message"].startswith("The definition cannot be used: name must be")


def test_the_start_form_offers_the_definitions() -> None:
    definition()
    field = source_form(get("imports")).fields["definition"]
    assert list(field.choices) == [("register", "Business register"), ("mine", "mine")]
    assert field.initial == "register"


@pytest.mark.django_db(transaction=True)
def test_the_same_content_with_another_definition_is_other_work(run: Run, alice: User) -> None:
    definition()
    data = "tax_ident,name\n1,\n"
    first = run(data)
    again = lifecycle.create("imports", {"file": store(alice, data)}, owner=alice)
    other = lifecycle.create("imports", {"file": store(alice, data), "definition": "mine"}, owner=alice)
    assert (again.created, again.job.pk) == (False, first.job_id)
    assert other.created
