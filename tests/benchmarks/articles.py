"""A bulk analysis beside the same pages in a bare loop that fetches and extracts: `./run bench articles`.

Both ask one site on loopback, as often as they like. The loop fetches a page and has trafilatura extract it;
the job also asks for robots.txt, tells the language, finds keywords, encodes, judges, stores and reports. A
second loop encodes too, as much of each text as the job: what is left then is ours. At last a page watches
such a job on a real web process, and its messages are counted.
"""

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import chain, pairwise
from typing import Any

import django

from tests.benchmarks.figures import Figure, p50
from tests.benchmarks.workers import idle_worker

TURNS = 3
PAGES = 300
PARAGRAPHS = 25
WATCHED = 300  # pages of the job that is watched
MOST_MESSAGES = 10
WORDS = (
    "ferry", "river", "crossing", "timetable", "harbour", "winter", "passenger", "bridge", "captain", "fog",
    "otter", "lantern", "morning", "evening", "car", "cable", "engine", "quay", "ticket", "boat", "water",
    "level", "council", "budget", "repair", "spring", "flood", "pilot", "anchor", "rope", "deck", "crew",
)  # fmt: skip


def main() -> None:
    """Measure and print."""
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from tests.articles.web import Site

    call_command("migrate", verbosity=0)
    User.objects.create_superuser("bench")
    site = Site()
    try:
        for figure in chain(speed(site), messages(site)):
            figure.say()
    finally:
        site.stop()


def fill(site: Any, folder: str, count: int) -> list[str]:
    """Put pages of the size of a usual article; return their addresses."""
    from tests.articles.web import article

    pick = random.Random(folder)
    urls = []
    for n in range(count):
        texts = [
            " ".join(pick.choices(WORDS, k=40)).capitalize() + f", {folder} {n}." for _ in range(PARAGRAPHS)
        ]
        links = "".join(f"<li><a href='/{one}'>{one} and more</a></li>" for one in WORDS)
        body = article(f"Report {n} of {folder}", *texts)
        urls.append(site.put(f"/{folder}/{n}", body.replace("<article>", f"<nav>{links}</nav><article>")))
    return urls


def speed(site: Any) -> Iterator[Figure]:
    """Yield articles a second of a job, beside the bare loop and beside one that encodes too."""
    took: dict[str, list[float]] = {"ours": [], "bare": [], "encoding": []}
    for turn in range(TURNS):
        for whose, times in took.items():
            fill(site, f"{whose}{turn}", PAGES)
            times.append(measured(whose, f"{site.url}/{whose}{turn}"))
    ours, bare, encoding = (PAGES / p50(times) for times in took.values())
    against = f"fetch and extract in a loop, same run ({bare:,.1f} articles/s)"
    yield Figure(
        "articles.analysed", ours, "articles/s p50", ours / bare, against, "told: the loop judges nothing"
    )
    against = f"fetch, extract and encode in a loop, same run ({encoding:,.1f} articles/s)"
    yield Figure("articles.share", ours, "articles/s p50", ours / encoding, against, "at least 0.87")


def measured(whose: str, base: str) -> float:
    """Return the seconds that all pages take in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.articles", whose, base],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(json.loads(done.stdout.strip().splitlines()[-1])["seconds"])


def one(whose: str, base: str) -> None:
    """Take the pages below an address, and print how long that took."""
    urls = [f"{base}/{n}" for n in range(PAGES)]
    ways = {"ours": by_the_job, "bare": by_a_loop, "encoding": partial(by_a_loop, encode=True)}
    seconds = ways[whose](urls)
    sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")


def by_a_loop(urls: list[str], *, encode: bool = False) -> float:
    """Return the seconds that fetching and extracting take, one page after the other; and encoding."""
    django.setup()
    import httpx
    import trafilatura

    from ingestion import embedders
    from ingestion.sources.articles.analysis import JUDGED

    began = time.monotonic()
    with httpx.Client() as client:
        for url in urls:
            found = trafilatura.bare_extraction(client.get(url).text, url=url, with_metadata=True)
            if not found or not found.text:
                raise SystemExit(f"nothing was extracted from {url}")
            if encode:
                embedders.get(embedders.DEFAULT_EMBEDDER).encode([found.text[:JUDGED]])
    return time.monotonic() - began


def by_the_job(urls: list[str]) -> float:
    """Return the seconds from starting a job to its end, with a worker that waits for one."""
    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User

    from ingestion import lifecycle
    from ingestion.models import Job

    settings.FETCH_ALLOW, settings.ARTICLES_PER_SECOND = ["127.0.0.1"], 1000
    worker = idle_worker()
    owner = User.objects.get(username="bench")
    params = {"topic": topic_of(owner), "urls": urls}
    began = time.monotonic()
    job = lifecycle.create("bulk_analysis", params, owner=owner).job
    worker.work(burst=True, logging_level="WARNING")
    took = time.monotonic() - began
    job = Job.objects.get(pk=job.pk)
    if (job.state, job.items_done) != ("completed", len(urls)):
        raise SystemExit(f"the job is {job.state}: {job.items_done} of {len(urls)}, {job.error}")
    return took


def topic_of(owner: Any) -> int:
    """Return the number of a topic."""
    from ingestion.sources.articles import topics
    from ingestion.sources.articles.models import Topic

    found = Topic.objects.filter(created_by=owner).first()
    return (found or topics.make(owner, {"name": "Ferries", "keywords": ["ferry", "otter"]})).pk


def messages(site: Any) -> Iterator[Figure]:
    """Yield how many messages a second the page of a job gets while it runs, at most and on average."""
    from django.contrib.auth.models import User

    from ingestion import lifecycle
    from tests.crowd import Crowd
    from tests.engine import Engine, ended

    owner = User.objects.get(username="bench")
    engine = Engine()
    try:
        _, port = engine.web()
        engine.keeper()
        engine.worker(HEADWAY_FETCH_ALLOW="127.0.0.1", HEADWAY_ARTICLES_PER_SECOND="100")
        params = {"topic": topic_of(owner), "urls": fill(site, "watched", WATCHED)}
        crowd = Crowd(f"127.0.0.1:{port}")
        try:
            job = lifecycle.create("bulk_analysis", params, owner=owner).job
            streams = (job.stream, f"topic:{params['topic']}", f"user:{owner.pk}", "system")
            (viewer,) = crowd.add(owner, *streams, ack=True)
            ended(job, 600)
        finally:
            crowd.close()
    finally:
        engine.stop()
    moments = sorted({told.at for told in viewer.told})[1:]  # frames of one message came at one moment
    most = max(sum(1 for at in moments[n:] if at < begin + 1) for n, begin in enumerate(moments))
    mean = (len(moments) - 1) / max(moments[-1] - moments[0], 1e-9)
    gaps = statistics.median(b - a for a, b in pairwise(moments))
    against = f"of {MOST_MESSAGES}; {mean:.1f} on average, {gaps * 1000:.0f} ms between two"
    yield Figure(
        "articles.messages", most, "messages/s at most", most / MOST_MESSAGES, against, "under 10 a second"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(sys.argv[1], sys.argv[2])
    else:
        main()
