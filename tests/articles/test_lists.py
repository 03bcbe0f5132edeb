"""Lists of addresses: pasted, in files, and of feeds; what the bulk form takes."""

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import Job, State
from ingestion.sources.articles import lists
from ingestion.sources.articles.models import Topic
from ingestion.sources.articles.sample import standin
from ingestion.testing import kill_at, lose_worker, resume_inline, run_inline
from tests.articles.web import Site

pytestmark = pytest.mark.django_db(transaction=True)
A, B = "https://news.example.com/a", "https://news.example.com/b,c"


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("list.txt", f"{A}\r\n\n  {B}  \n".encode(), [A, B]),
        ("list.txt", f"\ufeff{A}\n".encode(), [A]),
        ("list.txt", f"{A}\n{B}\n".encode("utf-16"), [A, B]),
        ("list.csv", f'title,url\nOne,{A}\n"Two, three","{B}"\n'.encode(), [A, B]),
        ("list.CSV", f"url;title\n{A};Een\n{B};Twee\n".encode("cp1252"), [A, B]),
        ("list.csv", f"url\n{A}\n{B}\n".encode(), [A, B]),
        ("list.csv", f"{A}\tOne\n\nno address\tTwo\n".encode(), [A, "no address"]),
        ("list.txt", b"\x00\xff\n", ["\u00ff"]),
    ],
)
def test_addresses_are_found_in_files(name: str, content: bytes, found: list[str]) -> None:
    assert lists.in_file(content, name) == found


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "The file is empty."),
        (b"\n \r\n", "The file is empty."),
        (b"title,url\n", "The file names no address."),
        (b"\x89PNG\r\n\x1a\n", "This is not a text file."),
        (b"<!doctype html><p>Hello", "This is not a text file."),
        (b"x" * (lists.MOST_FILE + 1), "The file is larger than the 1 MB limit."),
    ],
    ids=["nothing", "lines", "head", "picture", "page", "large"],
)
def test_what_is_no_list_of_addresses_is_refused_in_words(content: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        lists.in_file(content, "list.csv")


def test_a_table_that_cannot_be_read_says_so(web: Client, topic: Topic) -> None:
    broken = b'a,b\n"' + b"x" * 140_000
    with pytest.raises(ValueError, match="cannot be read"):
        lists.in_file(broken, "list.csv")
    sent = {"file": SimpleUploadedFile("list.csv", broken)}
    page = web.post(f"/topics/{topic.pk}/analyse/", sent)
    assert page.status_code == 400 and "This table cannot be read." in page.content.decode()


def test_the_form_takes_lines_a_file_and_a_feed_together(web: Client, topic: Topic) -> None:
    sent = {
        "urls": standin.URLS[0],
        "file": SimpleUploadedFile("list.csv", f"title,url\nOne,{standin.URLS[1]}\n".encode()),
        "feed": standin.FEED,
        "kind": "bulk_save",
    }
    web.post(f"/topics/{topic.pk}/analyse/", sent)
    job = Job.objects.get()
    assert (job.source, job.params["urls"], job.params["feed"]) == (
        "bulk_save",
        standin.URLS[:2],
        standin.FEED,
    )
    job = resume_inline(job)
    assert job.state == State.COMPLETED
    assert set(job.items.values_list("key", flat=True)) == set(standin.URLS)
    page = web.get(f"/topics/{topic.pk}/analyse/").content.decode()
    assert 'enctype="multipart/form-data"' in page and 'type="file"' in page


@pytest.mark.parametrize(
    "sent", [{}, {"feed": "ftp://x.example/"}, {"urls": " "}, {"urls": "x", "kind": "y"}]
)
def test_a_form_that_names_nothing_starts_nothing(web: Client, topic: Topic, sent: dict[str, str]) -> None:
    assert web.post(f"/topics/{topic.pk}/analyse/", sent).status_code == 400
    assert not Job.objects.exists()


def test_the_entries_of_a_feed_are_the_same_in_every_attempt(alice: User, topic: Topic, site: Site) -> None:
    page = "<html><body><article><p>" + "The ferry crosses the river. " * 20 + "</p></article></body></html>"
    urls = [site.put(f"/{name}", page.replace("river", f"river {name}")) for name in ("a", "b")]
    entries = "".join(f"<item><title>{url}</title><link>{url}</link></item>" for url in urls)
    feed = f'<rss version="2.0"><channel><title>T</title>{entries}</channel></rss>'
    address = site.put("/feed", feed, Content_Type="application/rss+xml")
    job = lifecycle.create("bulk_analysis", {"topic": topic.pk, "feed": address}, owner=alice).job
    with kill_at("item.after_commit"):
        resume_inline(job)
    lose_worker(job)
    site.pages.pop("/feed")
    Job.objects.filter(pk=job.pk).update(run_after=None)
    job = resume_inline(job)
    assert (job.state, job.items_total, job.items_done) == (State.COMPLETED, 2, 2)


def test_more_entries_than_a_job_remembers_are_said(
    alice: User, topic: Topic, site: Site, monkeypatch
) -> None:
    monkeypatch.setattr(lists, "MOST_REMEMBERED", 60)
    entries = "".join(f"<item><link>{site.url}/{n}</link></item>" for n in range(9))
    feed = f'<rss version="2.0"><channel><title>T</title>{entries}</channel></rss>'
    address = site.put("/feed", feed, Content_Type="application/rss+xml")
    job = run_inline("bulk_analysis", alice, topic=topic.pk, feed=address)
    assert job.items_total == 2
    assert job.events.filter(message="Of 9 entries the first 2 are read.").exists()


def test_a_feed_that_cannot_be_read_ends_the_job_in_words(alice: User, topic: Topic, site: Site) -> None:
    job = run_inline("bulk_analysis", alice, topic=topic.pk, feed=site.put("/feed", "no feed"))
    assert (job.state, job.error["code"]) == (State.FAILED, "rss_not_feed")
    with pytest.raises(Refused) as refused:
        lifecycle.create(
            "bulk_analysis", {"topic": topic.pk, "feed": "http://ann:secret@x.example/"}, owner=alice
        )
    assert refused.value.errors[0]["field"] == "feed"
    assert "secret" not in str(refused.value.errors)


def test_results_are_a_table_while_the_job_runs(web: Client, topic: Topic) -> None:
    web.post(f"/topics/{topic.pk}/analyse/", {"urls": "\n".join([*standin.URLS, "http://127.0.0.1/x"])})
    job = Job.objects.get()
    with kill_at("item.after_commit", 2):
        resume_inline(job)
    page = web.get(job.get_absolute_url()).content.decode()
    assert '<th scope="col">Relevance</th>' in page and 'data-refetch="items"' in page
    done = job.items.filter(state="done")
    assert done.count() == 2
    for item in job.items.all():
        assert f'id="item-{item.pk}"' in page
        assert item.result is None or item.result["title"] in page
    assert f'<td class="clip">{done[0].result["relevance"]:.2f}</td>' in page
