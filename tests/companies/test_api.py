"""The API of companies, filings, texts and figures."""

from datetime import date
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from ingestion import lifecycle
from ingestion.models import Job
from ingestion.sources.companies.models import Company, Fact, FormerName, Ticker
from ingestion.sources.companies.sample import standin as bundled
from ingestion.testing import run_inline
from tests.api.clients import ApiClient, assert_problem, client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(alice: User) -> ApiClient:
    return client_of(alice)


@pytest.fixture
def sample(alice: User) -> Company:
    run_inline("companies", alice, ticker=bundled.TICKER)
    return Company.objects.get()


def test_a_company_with_its_filings(reader: ApiClient, sample: Company, bob: User) -> None:
    told = reader.read(f"/companies/{sample.pk}").json()
    assert (told["cik"], told["status"], told["filings_total"], told["filings_complete"]) == (
        sample.cik,
        "ready",
        6,
        6,
    )
    assert told["former_names"][0]["name"] == "Lantern Hill Steam Packet Co"
    assert told["facts"] == sample.facts.count() > 0
    newest = told["filings"][0]
    assert {"accession_number", "form", "fiscal_year", "filing_date", "status"} < set(newest)
    amended = next(one for one in told["filings"] if one["form"] == "10-K/A")
    assert amended["amends"] in [one["accession_number"] for one in told["filings"]]
    job = lifecycle.create("companies", {"ticker": bundled.TICKER}, owner=bob).job  # of somebody else
    told = reader.read(f"/companies/{sample.pk}").json()
    assert (told["status"], told["job"]) == ("queued", str(job.pk))


def test_the_list_is_paged_and_searched(reader: ApiClient) -> None:
    rows = [Company.objects.create(cik=n, name=f"Number {n} Corp") for n in range(1, 6)]
    Ticker.objects.create(symbol="ABC", cik=3, listed=True)
    FormerName.objects.create(company=rows[1], name="Wooden Spoon Works")
    seen: list[int] = []
    page = reader.read("/companies?limit=2").json()
    while True:
        seen += [one["cik"] for one in page["companies"]]
        if page["next"] is None:
            break
        page = reader.read(f"/companies/?limit=2&cursor={page['next']}").json()
    assert seen == [5, 4, 3, 2, 1]
    for query, found in (("ab", [3]), ("spoon", [2]), ("number", [5, 4, 3, 2, 1]), ("4", [4]), ("zzz", [])):
        assert [one["cik"] for one in reader.read(f"/companies?q={query}").json()["companies"]] == found
    first = reader.read("/companies?limit=2").json()["next"]
    assert_problem(reader.read(f"/companies?limit=2&q=number&cursor={first}"), 400, "bad_cursor")


def test_filings_facts_and_texts(reader: ApiClient, sample: Company) -> None:
    path = f"/companies/{sample.pk}"
    page = reader.read(f"{path}/filings?limit=4&status=complete").json()
    rest = reader.read(f"{path}/filings?limit=4&status=complete&cursor={page['next']}").json()
    assert len(page["filings"]) == 4 and len(rest["filings"]) == 2 and rest["next"] is None
    assert reader.read(f"{path}/filings?status=partial").json()["filings"] == []

    figures = reader.read(f"{path}/facts?concept=us-gaap:Revenues").json()["facts"]
    assert sorted(one["value"] for one in figures) == [
        *("241500000", "318300000", "352800000", "377100000", "412600000"),
    ]
    one = reader.read(f"{path}/facts?limit=1&accession={figures[0]['accession_number']}").json()
    assert one["next"] and one["facts"][0]["accession_number"] == figures[0]["accession_number"]
    Fact.objects.create(
        company=sample, concept="a:b", unit="x", end=date(2025, 1, 1), value="0.50", accession=""
    )
    assert reader.read(f"{path}/facts?concept=a:b").json()["facts"][0]["value"] == "0.5"

    accession = sample.filings.get(fiscal_year=2025).accession
    filing = reader.read(f"/filings/{accession}").json()
    risk = next(part for part in filing["parts"] if part["item"] == "1A")
    assert filing["companies"] == [sample.pk] and risk["title"] == "Risk factors"
    text = reader.read(f"/filings/{accession}/parts/{risk['ordinal']}").json()
    assert "Fog, ice and high wind" in text["text"] and len(text["text"]) == risk["characters"]


def test_words_are_found_in_the_text_of_filings(reader: ApiClient, sample: Company) -> None:
    query = "/filings?q=%22fog%2C+ice+and+high+wind%22"
    found = reader.read(query).json()["found"]
    assert len(found) == 5 and {one["item"] for one in found} == {"1A"}
    assert "Fog, ice and high wind" in found[0]["snippet"] and "\ue000" not in found[0]["snippet"]
    page = reader.read(f"{query}&limit=3").json()
    rest = reader.read(f"{query}&limit=3&cursor={page['next']}").json()
    assert [*page["found"], *rest["found"]] == found
    assert reader.read(f"{query}&company={sample.pk}").json()["found"] == found
    assert reader.read(f"{query}&company={sample.pk + 1}").json()["found"] == []
    assert reader.read("/filings?q=zebra").json()["found"] == []
    assert_problem(reader.read("/filings"), 400, "bad_parameter")


@pytest.mark.parametrize(
    "path",
    [
        "/companies/99",
        f"/companies/{2**70}",
        "/companies/99/filings",
        "/companies/99/facts",
        "/filings/x",
        "/filings/0000000007-26-000001",
        "/filings/0000000007-26-000001/parts/0",
    ],
)
def test_what_is_not_here_is_not_found(reader: ApiClient, path: str) -> None:
    assert_problem(reader.read(path), 404, "not_found")


def test_a_part_beyond_the_last_is_not_found(reader: ApiClient, sample: Company) -> None:
    accession = sample.filings.get(fiscal_year=2025).accession
    for ordinal in (99, 2**40):
        assert_problem(reader.read(f"/filings/{accession}/parts/{ordinal}"), 404, "not_found")


def test_everybody_who_is_signed_in_may_read_and_nobody_else(sample: Company, bob: User) -> None:
    accession = sample.filings.get(fiscal_year=2025).accession
    for path in (
        *("/companies", "/companies/", f"/companies/{sample.pk}", f"/companies/{sample.pk}/filings"),
        *(f"/companies/{sample.pk}/facts", "/filings?q=fog", f"/filings/{accession}"),
    ):
        assert client_of(bob).read(path).status_code == 200
        assert_problem(ApiClient().read(path), 401, "auth_required")


def filled(cik: int, owner: User, years: int) -> Company:
    """Return a company with a ticker, an open job, figures, and reports with amendments, not all read."""
    company = Company.objects.create(cik=cik, name=f"C{cik}")
    Ticker.objects.create(symbol=f"T{cik}", cik=cik, listed=True)
    job = Job.objects.create(
        source="companies", object=company.stream, queue="default", title="x", owner=owner
    )
    job.items.create(step="filings", key="x", label="2024 10-K", ordinal=0)
    for n in range(years):
        whole = {"status": "complete", "completed_at": now()} if n else {}
        plain = {"filing_date": date(2025 - n, 2, 1), "fiscal_year": 2024 - n, **whole}
        report = company.filings.create(accession=f"{cik:010}-25-00{n:04}", form="10-K", **plain)
        company.filings.create(accession=f"{cik:010}-25-01{n:04}", form="10-K/A", amends=report, **plain)
        report.passages.create(ordinal=0, text="A walrus", digest="")
        figures = {"concept": "us-gaap:Revenues", "unit": "USD", "accession": report.accession}
        company.facts.create(end=date(2024 - n, 12, 31), start=date(2024 - n, 1, 1), value=1, **figures)
    return company


def test_a_page_costs_as_many_queries_whatever_is_on_it(reader: ApiClient, alice: User) -> None:
    small, large = filled(1, alice, 1), filled(2, alice, 5)
    filled(3, alice, 2)
    web = Client()
    web.force_login(alice)
    same = [
        [partial(reader.read, "/companies?limit=1"), partial(reader.read, "/companies?limit=3")],
        [partial(reader.read, f"/companies/{one.pk}") for one in (small, large)],
        [partial(reader.read, f"/companies/{one.pk}/filings") for one in (small, large)],
        [partial(reader.read, f"/companies/{one.pk}/facts") for one in (small, large)],
        [
            partial(reader.read, "/filings?q=walrus&limit=1"),
            partial(reader.read, "/filings?q=walrus&limit=8"),
        ],
        [partial(web.get, one.get_absolute_url()) for one in (small, large)],
        [partial(web.get, "/companies/?q=T1"), partial(web.get, "/companies/?q=T")],
    ]
    for pages in same:
        counts = []
        for page in (pages[0], *pages):  # the first time, there is something to remember
            with CaptureQueriesContext(connection) as asked:
                assert page().status_code == 200
            counts.append(len(asked))
        assert counts[1] == counts[2], pages[0].args
