"""S1's record of an ingestion and its addresses over HTTP."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User

from ingestion import lifecycle
from ingestion.models import Job
from ingestion.sources.companies import tasks
from ingestion.sources.companies.models import Company, Ticker
from ingestion.sources.companies.sample import standin as bundled
from ingestion.steps import StepHandle
from ingestion.testing import kill_at, lose_worker, resume_inline, run_inline
from tests.api.clients import ApiClient, assert_problem, client_of
from tests.companies.standin import Standin, document_path

pytestmark = pytest.mark.django_db
YEARS = [("10-K", f"{year + 1}-02-20", f"{year}-12-31") for year in range(2025, 2020, -1)]


@pytest.fixture
def as_alice(alice: User) -> ApiClient:
    return client_of(alice)


def job_json(**values: Any) -> dict[str, Any]:
    """Return a job's JSON as far as the record reads it."""
    return {
        "id": str(uuid4()),
        "object": None,
        "subject": "ABC",
        "state": "running",
        "attempt": 1,
        "message": "",
        "error": None,
        "items": {"failed": 0},
        "steps": {"lookup": {"state": "running"}},
        **values,
    }


def with_years(*states: str, **values: Any) -> dict[str, Any]:
    """Return the JSON of a job with a filing a state, of 2025 and the years before."""
    items = {
        f"a{n}": {"label": f"{2025 - n} 10-K", "state": s, "error_code": "x"} for n, s in enumerate(states)
    }
    items["figures"] = {"label": "Key figures", "state": "pending", "error_code": None}
    steps = {"lookup": {"state": "completed"}}
    return job_json(items_by_key=items, steps=steps, object="company:12", **values)


@pytest.mark.seed("S1.20", "S1.21", "S1.22", "S1.23", "S1.24", "S1.25", "S1.26", "S1.27", "S1.28", "S1.88")
def test_a_record_begins_as_the_seed_has_it(as_alice: ApiClient) -> None:
    started = as_alice.send("/companies/ingest?ticker=abc").json()
    assert as_alice.read(f"/companies/ingest/{started['task_id']}/status").json() == {
        "task_id": started["task_id"],
        "company_id": None,
        "ticker": "ABC",
        "status": "pending",
        "progress": 0,
        "message": "Preparing to ingest ABC",
        "steps_completed": 0,
        "total_steps": 0,
        "filings": [],
        "error": None,
    }
    assert UUID(started["task_id"]) == Job.objects.get().pk


@pytest.mark.seed("S1.32", "S1.36", "S1.37", "S1.38")
@pytest.mark.parametrize(
    ("states", "progress", "steps", "filings"),
    [
        ((), 20, 0, []),
        (("pending",) * 5, 20, 0, []),
        (("done", *("pending",) * 4), 35, 1, [{"year": 2025, "status": "completed"}]),
        (
            ("failed", "done", *("pending",) * 3),
            50,
            2,
            [{"year": 2025, "status": "failed", "error": "why"}, {"year": 2024, "status": "completed"}],
        ),
        (("skipped", "skipped", "skipped", "skipped", "quarantined"), 95, 5, None),
        (("done", "pending"), 57, 1, None),  # of two reports each is half
    ],
)
def test_percents_and_years_follow_the_seed(
    states: tuple[str, ...], progress: int, steps: int, filings: list[dict[str, Any]] | None
) -> None:
    told = tasks.task(with_years(*states), tasks.Beside(errors={"a0": "why"}))
    assert (told["progress"], told["steps_completed"], told["total_steps"]) == (progress, steps, len(states))
    assert filings is None or told["filings"] == filings
    assert tasks.task(job_json(), tasks.Beside())["progress"] == 10
    assert tasks.task(job_json(attempt=0, state="pending"), tasks.Beside())["progress"] == 0


@pytest.mark.seed("S1.31", "S1.40", "S1.41", "S1.45")
@pytest.mark.parametrize(
    ("state", "error", "status", "message"),
    [
        ("pending", None, "pending", "2 of 2 busy"),
        ("running", None, "processing", "2 of 2 busy"),
        ("completed", None, "completed", "Ingestion of ABC completed"),
        ("partial", None, "completed", "Ingestion of ABC completed"),
        ("failed", {"code": "x", "text": "No."}, "failed", "Failed to ingest ABC: No."),
        ("cancelled", None, "failed", "Failed to ingest ABC: Cancelled."),
    ],
)
def test_the_words_are_the_seeds(state: str, error: Any, status: str, message: str) -> None:
    job = job_json(state=state, error=error, message="2 of 2 busy", object="company:12")
    told = tasks.update(job, tasks.Beside())
    assert (told["type"], told["status"], told["message"]) == ("ingestion_update", status, message)
    assert told["company_id"] == 12 and told["task_id"] == job["id"]
    assert (told["error"] is not None) == (status == "failed")
    assert (told["progress"] == 100) == (status == "completed")


@pytest.mark.seed(
    "S1.5", "S1.7", "S1.8", "S1.13", "S1.29", "S1.33", "S1.43", "S1.46", "S1.47", "S1.48", "S1.89"
)
def test_an_ingestion_is_asked_for_polled_and_leads_to_its_company(as_alice: ApiClient) -> None:
    answer = as_alice.send(f"/companies/ingest?ticker={bundled.TICKER.lower()}")
    started = answer.json()
    assert answer.status_code == 200 and started["message"] == f"Started ingestion for {bundled.TICKER}"
    path = f"/companies/ingest/{started['task_id']}/status"
    job = Job.objects.get()
    with kill_at("item.after_commit", 2):
        resume_inline(job)
    half = as_alice.read(path).json()
    assert (half["status"], half["progress"], half["steps_completed"], half["total_steps"]) == (
        "processing",
        50,
        2,
        5,
    )
    resume_inline(lose_worker(job))
    told = as_alice.read(path).json()
    assert (told["status"], told["progress"], told["steps_completed"]) == ("completed", 100, 5)
    assert told["filings"][0] == {"year": 2025, "status": "completed"}
    company = as_alice.read(f"/companies/{told['company_id']}").json()
    assert company["name"] == "Lantern Hill Ferries, Inc."


def test_the_message_says_which_year_is_read(sec: Standin, as_alice: ApiClient, alice: User) -> None:
    """S1.36, as the worker sets it."""
    sec.tickers(("ABC", 7))
    sec.company(7, "ABC", *YEARS)
    heard: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StepHandle, "message", lambda self, text: heard.append(text))
        job = run_inline("companies", alice, ticker="ABC")
    assert heard == [
        "Company ABC Corp found, processing filings",
        "Processing 2025 filing (1/5)",
        *(f"Processing {2025 - n} filing ({n + 1}/5)" for n in range(1, 5)),
        "Processing 2021 filing (5/5)",
    ]
    assert job.events.filter(message="Company ABC Corp found, processing filings").exists()


@pytest.mark.seed("S1.38", "S1.44", "S1.95")
def test_a_failed_year_has_its_error_and_a_retry_mends_it(
    sec: Standin, as_alice: ApiClient, alice: User
) -> None:
    sec.tickers(("ABC", 7))
    accessions = sec.company(7, "ABC", *YEARS[:2])
    page = sec.pages.pop(document_path(7, accessions[1]))
    job = run_inline("companies", alice, ticker="ABC", years=2)
    told = as_alice.read(f"/companies/ingest/{job.pk}/status").json()
    why = "The SEC lists this 10-K, and does not have its document."
    assert told["filings"][1] == {"year": 2024, "status": "failed", "error": why}
    assert (told["status"], told["error"]) == ("completed", None)  # S1's word; ours is partial
    sec.pages[document_path(7, accessions[1])] = page
    again = resume_inline(lifecycle.retry(job, alice).job)
    told = as_alice.read(f"/companies/ingest/{again.pk}/status").json()
    assert [one["status"] for one in told["filings"]] == ["completed", "completed"]


@pytest.mark.seed("S1.41")
def test_a_failed_ingestion_says_why(sec: Standin, as_alice: ApiClient, alice: User) -> None:
    sec.tickers(("ABC", 7))
    job = run_inline("companies", alice, ticker="NONE")
    told = as_alice.read(f"/companies/ingest/{job.pk}/status").json()
    text = "SEC EDGAR has no company with ticker NONE."
    assert told["status"] == "failed" and told["error"].startswith(text)
    assert told["message"] == f"Failed to ingest NONE: {told['error']}"


@pytest.mark.seed("S1.30", "S1.49")
def test_an_unknown_task_and_somebody_elses_are_the_same(as_alice: ApiClient, bob: User) -> None:
    foreign = lifecycle.create("companies", {"ticker": "ABC"}, owner=bob).job
    other = lifecycle.create("ping", {}, owner=None).job
    for task in (uuid4(), foreign.pk, other.pk):
        problem = assert_problem(as_alice.read(f"/companies/ingest/{task}/status"), 404, "not_found")
        assert problem["detail"] == "Ingestion task not found"
    # Who asks for the same follows it, and sees it then.
    assert as_alice.send("/companies/ingest?ticker=ABC").json()["task_id"] == str(foreign.pk)
    assert as_alice.read(f"/companies/ingest/{foreign.pk}/status").status_code == 200


@pytest.mark.seed("S1.69")
def test_what_is_no_ticker_is_refused_in_the_seeds_words(as_alice: ApiClient, db: Any) -> None:
    problem = assert_problem(as_alice.send("/companies/ingest"), 400, "validation_failed", field="ticker")
    assert problem["errors"][0]["message"].startswith("Please enter a ticker symbol")
    assert_problem(as_alice.send("/companies/ingest?ticker=%20"), 400, "validation_failed", field="ticker")
    assert_problem(as_alice.send("/companies/ingest?ticker=A&client_id=7"), 400, "bad_parameter")
    assert_problem(as_alice.send("/companies/ingest?ticker=A&tikcer=B"), 400, "unknown_filter")
    assert_problem(ApiClient().send("/companies/ingest?ticker=A"), 401, "auth_required")
    assert not Job.objects.exists()


@pytest.mark.seed("S1.50", "S1.51", "S1.52")
def test_a_company_is_looked_up_by_ticker_whatever_its_case(as_alice: ApiClient) -> None:
    company = Company.objects.create(cik=7, name="ABC Corp")
    Ticker.objects.create(symbol="ABC", cik=7, listed=True)
    Ticker.objects.create(symbol="NOTHERE", cik=8, listed=True)
    told = as_alice.read("/companies/?ticker=abc").json()
    assert told == as_alice.read("/companies/?cik=0000000007").json()
    assert told == as_alice.read(f"/companies/{company.pk}").json()
    assert (told["id"], told["name"], told["tickers"], told["filings"]) == (
        company.pk,
        "ABC Corp",
        ["ABC"],
        [],
    )
    for query in ("ticker=nothere", "ticker=NOBODY", "ticker=", "cik=9", "cik=x"):
        assert_problem(as_alice.read(f"/companies/?{query}"), 404, "not_found")


def test_who_finds_the_work_being_done_follows_it(sec: Standin, alice: User, bob: User) -> None:
    """Two tickers of one company that no table knew: the second job ends with a link to the first."""
    sec.tickers(("GOOG", 7), ("GOOGL", 7))
    sec.company(7, "GOOG", *YEARS[:1])
    first = lifecycle.create("companies", {"ticker": "GOOG", "years": 1}, owner=alice).job
    second = lifecycle.create("companies", {"ticker": "GOOGL", "years": 1}, owner=bob).job
    with kill_at("items.registered"):
        resume_inline(first)
    assert resume_inline(second).result_url == first.get_absolute_url()
    client = client_of(bob)
    told = client.read(f"/companies/ingest/{second.pk}/status").json()
    assert (told["status"], told["company_id"]) == ("completed", Company.objects.get().pk)
    assert client.read(f"/companies/ingest/{first.pk}/status").json()["status"] == "processing"
    assert json.loads(client.read(f"/jobs/{first.pk}").content)["mine"] is False
