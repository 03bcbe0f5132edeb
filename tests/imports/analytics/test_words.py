"""Units are found by the words of their names, which follow the register as its statistics do."""

from datetime import date

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion.sources.imports.analytics.models import Words
from ingestion.sources.imports.analytics.source import run_chain
from ingestion.sources.imports.finding import search
from ingestion.sources.imports.models import Unit
from tests.imports.conftest import Run

pytestmark = pytest.mark.django_db(transaction=True)
FOLLOW = "by name once the statistics have followed"


def found(query: str) -> list[tuple[str, str]]:
    return sorted(search(query).values_list("tax_ident", "name"))


def test_new_names_are_found_when_the_chain_has_run(run: Run, alice: User, client: Client) -> None:
    client.force_login(alice)
    run("tax_ident,name\n1,Birch Bakery\n2,Oak Boats\n")
    assert found("birch") == [] and found("1") == [("1", "Birch Bakery")]
    assert FOLLOW in client.get("/imports/units/?q=birch").content.decode()
    run_chain()
    assert found("birch") == [("1", "Birch Bakery")]
    assert FOLLOW not in client.get("/imports/units/?q=birch").content.decode()


def test_a_changed_name_is_found_by_its_new_words_only(run: Run) -> None:
    run("tax_ident,name\n1,Birch Bakery\n2,Oak Boats\n")
    run_chain()
    run("tax_ident,name\n1,Birch Mill\n")
    assert found("bakery") == []  # also before the words have followed
    run_chain()
    assert found("mill") == [("1", "Birch Mill")]
    assert set(Words.objects.values_list("words", flat=True)) == {"'birch':1 'mill':2", "'boats':2 'oak':1"}


def test_a_unit_is_found_in_the_period_in_which_it_was_called_so(run: Run) -> None:
    run("tax_ident,name,valid_from,valid_to\n1,Birch,2020-01-01,2020-12-31\n1,Oak,2021-01-01,\n")
    run_chain()
    assert found("oak") == [("1", "Oak")] and found("birch") == [("1", "Birch")]
    assert search("oak").get().valid_from == date(2021, 1, 1)


def test_words_of_deleted_units_go(run: Run) -> None:
    run("tax_ident,name\n1,Birch\n2,Oak\n")
    run_chain()
    Unit.objects.filter(tax_ident="1").delete()
    run_chain()
    assert list(Words.objects.values_list("pk", flat=True)) == ["2"] and found("birch") == []


def test_units_are_found_by_their_other_identifier(run: Run) -> None:
    run("tax_ident,stat_ident,name\n1,s-7,Birch\n2,,Oak\n")
    assert found("s-7") == [("1", "Birch")]
