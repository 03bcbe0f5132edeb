"""Every list as CSV: what the page shows and no more, in a file that no spreadsheet runs."""

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from structlog.testing import capture_logs

from config import spreadsheets
from ingestion.models import Dismissal, Job, JobItem, Schedule
from ingestion.sources.articles.models import Analysis, Article, Role, Topic, TopicMember
from ingestion.sources.companies.models import Company, Filing
from ingestion.sources.documents import workspaces
from ingestion.sources.documents.models import Document
from ingestion.sources.imports.models import Import, Unit
from ingestion.sources.lifelogs.models import Account, Day
from notifications import inbox
from tests.engine import ROOT
from tests.pages import rows

pytestmark = pytest.mark.django_db(transaction=True)  # files are read in threads of their own

BAD = "=cmd|' /C calc'!A0"


@pytest.fixture
def web(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def table(answer: Any) -> list[dict[str, str]]:
    async def whole() -> str:
        return b"".join([part async for part in answer]).decode("utf-8-sig")

    assert answer.status_code == 200 and answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith("attachment; ")
    assert answer["X-Content-Type-Options"] == "nosniff"
    return list(csv.DictReader(io.StringIO(async_to_sync(whole)(), newline="")))


def of_jobs(alice: User, bob: User) -> str:
    rows.job(alice, "failed", subject=BAD)
    rows.job(bob, "failed", subject="hidden")
    return reverse("ingestion:jobs_csv")


def of_inbox(alice: User, bob: User) -> str:
    inbox.notify([alice], "system", BAD)
    inbox.notify([bob], "system", "hidden")
    return reverse("notifications:csv")


def of_companies(alice: User, bob: User) -> str:
    Company.objects.create(cik=320193, name=BAD)
    return reverse("companies:csv")


def of_documents(alice: User, bob: User) -> str:
    ours, theirs = workspaces.make(alice, "ours", ""), workspaces.make(bob, "theirs", "")
    for where, name in ((ours, BAD), (theirs, "hidden")):
        Document.objects.create(workspace=where, name=name, size=1, type="text/plain", sha256="0" * 64)
    return reverse("documents:csv", args=[ours.pk])


def topic(owner: User, name: str) -> Topic:
    made = Topic.objects.create(name=name, created_by=owner)
    TopicMember.objects.create(topic=made, user=owner, role=Role.OWNER)
    return made


def of_topics(alice: User, bob: User) -> str:
    topic(alice, BAD), topic(bob, "hidden")
    return reverse("articles:topics_csv")


def of_articles(alice: User, bob: User) -> str:
    ours, theirs = topic(alice, "ours"), topic(bob, "theirs")
    for n, (where, title) in enumerate(((ours, BAD), (theirs, "hidden"))):
        article = Article.objects.create(
            url=f"https://example.org/{n}", title=title, text="x", characters=1, text_hash=f"{n:064}"
        )
        kept = datetime(2026, 1, 5, tzinfo=UTC)
        Analysis.objects.create(topic=where, article=article, relevance=0.5, model="m", kept_at=kept)
    return reverse("articles:articles_csv", args=[ours.pk])


def of_imports(alice: User, bob: User) -> str:
    Import.objects.create(owner=alice, slug="a", file_name=BAD, definition={})
    Import.objects.create(owner=bob, slug="b", file_name="hidden", definition={})
    return reverse("imports:imports_csv")


def of_units(alice: User, bob: User) -> str:
    Unit.objects.create(tax_ident="1", name=BAD)
    return reverse("imports:units_csv")


def of_days(alice: User, bob: User) -> str:
    ours, theirs = (
        Account.objects.create(owner=user, service="limitless", label="x", zone="UTC", is_sample=True)
        for user in (alice, bob)
    )
    Day.objects.create(account=ours, date="2026-01-05", trouble=BAD)
    Day.objects.create(account=theirs, date="2026-01-06", trouble="hidden")
    return reverse("lifelogs:csv", args=[ours.pk])


def of_workspaces(alice: User, bob: User) -> str:
    workspaces.make(alice, BAD, ""), workspaces.make(bob, "hidden", "")
    return reverse("documents:workspaces_csv")


def of_schedules(alice: User, bob: User) -> str:
    for owner, name in ((alice, BAD), (bob, "hidden")):
        Schedule.objects.create(owner=owner, name=name, source="ping", cron="0 6 * * *")
    return reverse("ingestion:schedules_csv")


def of_dead_letters(alice: User, bob: User) -> str:
    rows.job(alice, "failed", subject=BAD)
    rows.job(alice, "completed", subject="no dead letter")
    rows.job(bob, "failed", subject="hidden")
    return reverse("ingestion:dead_csv")


def of_items(alice: User, bob: User) -> str:
    job, other = rows.job(alice, "partial"), rows.job(bob, "partial")
    for of, label in ((job, BAD), (other, "hidden")):
        rows.items(of, {"failed": 1}, label=label)
    return reverse("ingestion:items_csv", args=[job.pk])


def of_filings(alice: User, bob: User) -> str:
    ours, other = (Company.objects.create(cik=cik, name="Acme") for cik in (1_000_001, 1_000_002))
    for of, number, text in ((ours, 1, BAD), (other, 2, "hidden")):
        made = Filing.objects.create(
            accession=f"0000000000-26-{number:06}", form="10-K", filing_date="2026-01-05", fiscal_year=2025,
            description=text,
        )  # fmt: skip
        made.companies.add(of)
    return reverse("companies:filings_csv", args=[ours.pk])


LISTS = [
    of_jobs,
    of_inbox,
    of_companies,
    of_workspaces,
    of_documents,
    of_topics,
    of_articles,
    of_imports,
    of_units,
    of_days,
    of_schedules,
    of_dead_letters,
    of_items,
    of_filings,
]


@pytest.mark.seed("SEC14", "SEC52")
@pytest.mark.parametrize("of", LISTS)
def test_each_list_has_ones_own_and_runs_nowhere(
    web: Client, alice: User, bob: User, of: Callable[[User, User], str]
) -> None:
    path = of(alice, bob)
    with capture_logs() as lines:
        (row,) = table(web.get(path))
    assert [one["user"] for one in lines if one["event"] == "file_taken"] == [alice.pk]
    assert f"'{BAD}" in row.values() and BAD not in row.values()
    assert "hidden" not in row.values()
    assert Client().get(path).status_code == 302


@pytest.mark.seed("SEC14")
@pytest.mark.parametrize("of", [of_documents, of_articles, of_days, of_items])
def test_nobody_has_the_list_of_another(client: Client, alice: User, bob: User, of: Any) -> None:
    path = of(alice, bob)
    client.force_login(bob)
    assert client.get(path).status_code == 404


def test_a_file_has_the_filters_of_its_page(web: Client, alice: User, bob: User) -> None:
    for state in ("failed", "completed"):
        rows.job(alice, state, subject=state)
    path = reverse("ingestion:jobs_csv")
    assert [row["State"] for row in table(web.get(path))] == ["completed", "failed"]
    assert [row["Subject"] for row in table(web.get(f"{path}?state=failed"))] == ["failed"]
    assert table(web.get(f"{path}?q=nothing")) == []
    assert f'href="{path}?state=failed"' in web.get("/jobs/?state=failed").text
    Company.objects.create(cik=1, name="Acme"), Company.objects.create(cik=2, name="Other")
    assert [row["CIK"] for row in table(web.get(reverse("companies:csv") + "?q=acme"))] == ["1"]
    inbox.notify([alice], "system", "one"), inbox.notify([alice], "system", "two")
    assert len(table(web.get(reverse("notifications:csv")))) == 2
    assert [row["Title"] for row in table(web.get(reverse("notifications:csv") + "?q=two"))] == ["two"]
    assert table(web.get(reverse("notifications:csv") + "?view=archived")) == []


def test_a_file_of_items_and_of_dead_letters_has_the_filters_of_its_page(
    web: Client, alice: User, bob: User
) -> None:
    job = rows.job(alice, "partial")
    rows.items(job, {"done": 2, "failed": 2})
    path = reverse("ingestion:items_csv", args=[job.pk])
    assert [row["Key"] for row in table(web.get(path))] == ["k0000", "k0001", "k0002", "k0003"]
    assert [row["State"] for row in table(web.get(f"{path}?items=failed"))] == ["failed"] * 2
    assert [row["Key"] for row in table(web.get(f"{path}?items=all&item=Box+0001"))] == ["k0001"]
    assert table(web.get(f"{path}?items=failed&code=other")) == []
    assert f'href="{path}?items=' in web.get(job.get_absolute_url()).text
    dead = rows.job(alice, "failed", subject="dismissed")
    rows.job(alice, "failed", subject="open")
    Dismissal.objects.create(job=dead, by=alice, reason="Known.")
    path = reverse("ingestion:dead_csv")
    assert [row["Subject"] for row in table(web.get(path))] == ["open"]
    (row,) = table(web.get(f"{path}?show=dismissed"))
    assert (row["Subject"], row["Dismissed by"], row["Dismissed because"]) == ("dismissed", "alice", "Known.")
    assert table(web.get(f"{path}?source=nap")) == []
    assert f'href="{path}?show=dismissed"' in web.get("/dead-letters/?show=dismissed").text


FILE = re.compile(r"\{% url '\w+:(\w*csv|errors|table)'")
ROWS_OF = {
    "operate/_dead": "operate/dead",
    "schedules/_rows": "schedules/list",
}  # whose head has the file
NO_LISTS = {
    "admin/ingestion/job/change_form": "what one job went through",
    "articles/_trend": "the figures of a drawing",
    "imports/_import": "the columns of one file",
    "imports/_match": "the columns of one file",
    "imports/_problems": "causes with their counts; the rows themselves are in errors.csv",
    "imports/_rows": "rows of a file that somebody has; what is wrong with them is in errors.csv",
    "ingestion/_groups": "causes with their counts; the items are in items.csv",
    "ingestion/_overview": "the newest few of the jobs",
    "ingestion/_status": "how it stands at this moment",
    "lifelogs/_day": "the parts of one day",
    "notifications/settings": "switches",
    "operate/_overview": "how it stands at this moment",
}


def test_every_list_of_every_page_is_there_as_a_file() -> None:
    missing = []
    for path in (ROOT / "templates").rglob("*.html"):
        name = str(path.relative_to(ROOT / "templates").with_suffix(""))
        if "<table" in path.read_text() and name not in NO_LISTS:
            page = ROOT / "templates" / f"{ROWS_OF.get(name, name)}.html"
            missing += [] if FILE.search(page.read_text()) else [name]
    assert missing == []


def test_figures_stay_figures_and_times_are_those_of_spreadsheets(web: Client, alice: User) -> None:
    ended = datetime(2026, 1, 5, 20, 30, tzinfo=UTC)
    rows.job(alice, "failed", finished_at=ended, items_total=7, error={"code": "x", "text": "It broke."})
    (row,) = table(web.get(reverse("ingestion:jobs_csv")))
    assert (row["Items"], row["Ended (UTC)"], row["Error"]) == ("7", "2026-01-05 20:30:00", "It broke.")


@pytest.mark.parametrize(("most", "found"), [(100, 5), (5, 5), (4, 4), (3, 3)])
def test_a_file_is_read_bit_by_bit_and_bounded(
    web: Client, alice: User, monkeypatch: pytest.MonkeyPatch, most: int, found: int
) -> None:
    monkeypatch.setattr(spreadsheets, "BATCH", 2)
    monkeypatch.setattr(spreadsheets, "MAX_ROWS", most)
    for n in range(5):
        rows.job(alice, "failed", subject=str(n))
    listed = table(web.get(reverse("ingestion:jobs_csv")))
    assert [row["Subject"] for row in listed[:found]] == list("43210")[:found]
    rest = [f"Only the first {most} rows are here. Filters find the rest."] if found < 5 else []
    assert [row["Id"] for row in listed[found:]] == rest
    given = spreadsheets._pages(Job.objects.all(), ["subject"])
    with CaptureQueriesContext(connection) as asked:
        assert [len(page) for page in given] == [2, 2, 1]
    assert len(asked) == 3 and all("LIMIT 2" in one["sql"] for one in asked)


def test_the_items_of_a_job_come_by_step_and_key_however_many_batches_they_are(
    web: Any, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreadsheets, "BATCH", 2)
    job = rows.job(alice, "partial")
    names = [("look", "b"), ("fill", "c"), ("fill", "a"), ("look", "a"), ("fill", "b")]
    JobItem.objects.bulk_create(
        JobItem(job=job, step=step, key=key, label=key, ordinal=n) for n, (step, key) in enumerate(names)
    )
    told = table(web.get(reverse("ingestion:items_csv", args=[job.pk])))
    assert [(row["Step"], row["Key"]) for row in told] == sorted(names)
