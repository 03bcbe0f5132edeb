"""Companies in the admin: seen by operators, looked at again, never changed by hand."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion.models import Job
from ingestion.sources.companies.models import Company, Filing, Ticker
from ingestion.sources.companies.sample import standin as bundled
from ingestion.testing import run_inline

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def test_operators_see_them_and_nobody_changes_them(desk: Client, alice: User) -> None:
    run_inline("companies", alice, ticker=bundled.TICKER)
    for row, shown in ((Company, "name"), (Ticker, "symbol"), (Filing, "accession")):
        path = f"/admin/companies/{row._meta.model_name}/"
        one = row.objects.order_by("pk").first()  # type: ignore[attr-defined]
        assert desk.get(path, {"q": "HW-SAMPLE"}).status_code == 200
        assert getattr(one, shown) in desk.get(path).content.decode()
        assert desk.get(f"{path}{one.pk}/change/").status_code == 200
        assert desk.post(f"{path}{one.pk}/change/", {"name": "x"}).status_code == 403
        assert desk.get(f"{path}add/").status_code == 403
        desk.force_login(alice)
        assert desk.get(path).status_code == 302
        desk.force_login(User.objects.get(username="staff"))


def test_an_operator_has_companies_looked_at_again(desk: Client, staff: User) -> None:
    rows = [Company.objects.create(cik=n, name=f"C{n}") for n in (1, 2)]
    Ticker.objects.create(symbol="ABC", cik=1, listed=True)
    chosen = {"action": "look_again", "_selected_action": [row.pk for row in rows]}
    answer = desk.post("/admin/companies/company/", chosen, follow=True)
    assert "2 asked for." in answer.content.decode()
    assert sorted(Job.objects.values_list("subject", "owner")) == [("ABC", staff.pk), ("CIK2", staff.pk)]
