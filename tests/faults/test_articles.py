"""A bulk analysis of thousands of pages, of which some fail and whose worker is killed again and again."""

import gzip
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion import lifecycle
from ingestion.models import Job, JobItem, State
from ingestion.sources.articles import fetching, topics
from ingestion.sources.articles.models import Analysis, Article
from tests.articles.web import Site, article
from tests.engine import Engine, described, ended, fresh, horses
from tests.faults.conftest import FULL
from tests.site import resident
from tests.waiting import until

PAGES = int(os.environ.get("HEADWAY_FAULT_PAGES", "10000" if FULL else "200"))
KILLS = 20 if FULL else 2
EVERY = 20  # the how-manieth page fails: 5 %
ONE_KIND = PAGES // EVERY // 10
MB = 2**20
GROWS = 40 * MB  # from an attempt's first thousand pages to its last
SEED = int(os.environ.get("HEADWAY_FAULT_SEED", "0")) or random.randrange(10**6)
BOMB = gzip.compress(b"0" * (fetching.MOST_BYTES + 1))
CODES = (
    "url_status", "url_content_type", "url_no_content", "no_text", "url_bad_answer", "url_too_many_redirects",
    "url_redirect_blocked", "robots_disallow", "url_private", "url_too_large",
)  # fmt: skip
WORDS = (
    "ferry",
    "river",
    "crossing",
    "timetable",
    "harbour",
    "winter",
    "passenger",
    "bridge",
    "captain",
    "fog",
)


@pytest.fixture
def site() -> Iterator[Site]:
    """A site with the pages; of each kind of failure as many fail."""
    one = Site()
    one.put("/robots.txt", "User-agent: *\nDisallow: /private/", Content_Type="text/plain")
    yield one
    one.stop()


def garbage(handler: Any) -> None:
    handler.wfile.write(b"I am no web server\r\n\r\n")


def page(site: Site, n: int) -> str:
    """Put the n-th page; return its address."""
    path = f"/{n}"
    if n % EVERY:
        pick = random.Random(n)
        text = [" ".join(pick.choices(WORDS, k=12)).capitalize() + "." for _ in range(6)]
        return site.put(path, article(f"Ferry report {n}", *text))
    match CODES[n // EVERY % 10]:
        case "url_status":
            return site.put(path, b"busy", 503)
        case "url_content_type":
            return site.put(path, b"x", Content_Type="image/png")
        case "url_no_content":
            return site.put(path, b"")
        case "no_text":
            return site.put(path, "<html><body><script>x</script></body></html>")
        case "url_bad_answer":
            site.pages[path] = garbage
            return site.url + path
        case "url_too_many_redirects":
            return site.moved(path, path)
        case "url_redirect_blocked":
            return site.moved(path, "http://10.0.0.5/")
        case "robots_disallow":
            return f"{site.url}/private{path}"
        case "url_private":
            return f"http://10.0.0.5{path}"
        case _:
            return site.put(path, BOMB, Content_Encoding="gzip")


def codes(job: Job) -> Counter[str]:
    failed = JobItem.objects.filter(job=job.pk, state="failed")
    return Counter(failed.values_list("error_code", flat=True))


def worked_on(job: Job) -> int:
    row = fresh(job)
    return PAGES if row.is_final else row.items_done + row.items_failed


def held(worker: int) -> int:
    """Return the bytes of memory that a job's process holds with those that it started."""
    total, left = 0, horses(worker)
    while left:
        pid = left.pop()
        left += horses(pid)
        try:
            total += resident(pid)
        except (OSError, ValueError, IndexError):
            continue  # it has just ended
    return total


def test_thousands_of_pages_end_with_exact_counts_however_often_their_worker_dies(
    engine: Engine, owner: User, site: Site, client: Client
) -> None:
    pick = random.Random(SEED)
    engine.keeper()
    worker = engine.worker(HEADWAY_FETCH_ALLOW="127.0.0.1", HEADWAY_ARTICLES_PER_SECOND="100")
    topic = topics.make(owner, {"name": "Ferries", "keywords": ["ferry", "harbour"], "threshold": 0.2})
    params = {"topic": topic.pk, "urls": [page(site, n) for n in range(PAGES)]}
    job = lifecycle.create("bulk_analysis", params, owner=owner).job

    # Killed in the first six tenths; what is left is one attempt, whose memory is looked at.
    for mark in sorted(pick.sample(range(PAGES // 50, PAGES * 6 // 10), KILLS)):
        mark = max(mark, worked_on(job) + 1)  # who goes on has done something
        until(lambda mark=mark: worked_on(job) >= mark, 600, f"page {mark}; seed {SEED}")
        horse = until(lambda: horses(worker.pid), 60, "a work-horse")[0]
        os.kill(horse, signal.SIGKILL)
        until(lambda horse=horse: horse not in horses(worker.pid), 60, "its end")
    memory: list[int] = []
    begun = worked_on(job)
    for n in range(1, 11):
        mark = begun + (PAGES - begun) * n // 10 - 1
        until(lambda mark=mark: worked_on(job) >= mark, 1800, f"page {mark}; seed {SEED}")
        memory.append(held(worker.pid))
    job = ended(job, 300)

    told = f"seed {SEED}; {described(job)}"
    failures = PAGES // EVERY
    assert job.state == State.PARTIAL, told
    assert (job.items_total, job.items_done, job.items_failed) == (PAGES, PAGES - failures, failures), told
    assert codes(job) == dict.fromkeys(CODES, ONE_KIND), told
    assert Article.objects.count() == Analysis.objects.filter(topic=topic).count() == PAGES - failures, told
    assert job.attempts.count() > KILLS, told
    if FULL:
        sys.stderr.write(f"memory in MB: {[one // MB for one in memory]}\n")
        assert max(memory[1:-1]) - memory[1] < GROWS, f"{memory}; {told}"

    # Failures stand in groups by their cause, and a retry of one asks for its pages alone.
    client.force_login(owner)
    shown = client.get(job.get_absolute_url()).content.decode()
    assert all(f'data-cause="{code}"' in shown for code in CODES)
    broken = [n for n in range(PAGES) if not n % EVERY and CODES[n // EVERY % 10] == "url_status"]
    for n in broken:
        site.put(f"/{n}", article(f"Ferry report {n}", f"The ferry {n} is back.", "It crosses the river."))
    site.asked.clear()
    sent = client.post(f"{job.get_absolute_url()}retry/", {"error_code": "url_status"})
    again = ended(Job.objects.get(retry_of=job), 300)
    assert sent.status_code == 302
    assert set(site.asked) == {f"/{n}" for n in broken}, told
    assert again.items_done == PAGES - failures + ONE_KIND, described(again)
    assert codes(again) == dict.fromkeys(CODES[1:], ONE_KIND), described(again)
    assert Article.objects.count() == PAGES - failures + ONE_KIND, told


def test_a_page_that_eats_memory_ends_its_parser_and_no_job(engine: Engine, owner: User, site: Site) -> None:
    """X3: it needs more than the gigabyte that a page may take; its neighbours are read and judged."""
    engine.keeper()
    engine.worker(HEADWAY_FETCH_ALLOW="127.0.0.1", HEADWAY_ARTICLES_PER_SECOND="100")
    topic = topics.make(owner, {"name": "Ferries", "keywords": ["ferry", "harbour"], "threshold": 0.2})
    hungry = site.put("/hungry", f"<html><body>{'<p>x' * 2_600_000}</body></html>")
    urls = [page(site, 1), hungry, page(site, 2)]
    job = ended(lifecycle.create("bulk_analysis", {"topic": topic.pk, "urls": urls}, owner=owner).job, 300)

    assert (job.state, job.items_done, job.items_failed) == (State.PARTIAL, 2, 1), described(job)
    failed = job.items.get(state="failed")
    assert (failed.key, failed.error_code) == (hungry, "page_limits")
    assert failed.error == "This page takes too much time or memory to read."
    assert (job.attempt, job.crashes) == (1, 0), described(job)
