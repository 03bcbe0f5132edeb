"""The engine beside bare RQ and bare loops: `./run bench engine`."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import django

from tests.benchmarks.figures import Figure, p50

JOBS = 60
LIGHT_JOBS = 300
ITEMS = 300
TURNS = 5
LOOP = 1_000_000
SHOTS = 25


def main() -> None:
    """Measure everything and print it."""
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    owner = User.objects.create_superuser("bench")
    for measure in (overhead, light, latency, posting, tracking, items, writing):
        for figure in measure(owner):
            figure.say()


def burst(whose: str, queue: str) -> dict[str, float]:
    """Let a fresh worker empty a queue; return its wall and CPU seconds."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.burst", whose, queue],
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def fill(owner: Any, kind: str, queue: str, n: int) -> None:
    """Make n jobs with the one token that `wake` gives a single worker, and as many bare RQ jobs."""
    from ingestion import lifecycle, queues
    from ingestion.source import get

    get(kind).__class__.limit = 10_000
    client = queues._client()
    ours, bare = queues._queue(queue, client), bare_queue(f"bare-{queue}", client)
    for _ in range(n):
        lifecycle.create(kind, {}, owner=owner)
        bare.enqueue_call("tests.benchmarks.burst.noop", result_ttl=0)
    ours.empty()
    ours.enqueue_call(queues.TOKEN, args=(queue,))


def overhead(owner: Any) -> Iterator[Figure]:
    """CPU of a no-op job with everything around it, beside RQ's own."""
    fill(owner, "ping", "default", JOBS)
    ours, bare = burst("ours", "default"), burst("rq", "default")
    check_done("ping", JOBS)
    yield Figure(
        "engine.job_cpu",
        ours["cpu"] / JOBS * 1000,
        "ms CPU a job",
        ours["cpu"] / bare["cpu"],
        "rq Worker, same run",
        "at most 1.15",
    )


def light(owner: Any) -> Iterator[Figure]:
    """Jobs a second of one worker that does not fork."""
    fill(owner, "flash", "light", 100)
    rates = []
    for _ in range(LIGHT_JOBS // 100):
        ours, bare = burst("ours", "light"), burst("rq", "light")
        rates.append((100 / ours["wall"], bare["wall"] / ours["wall"]))
        fill(owner, "flash", "light", 100)
    burst("rq", "light")
    best = max(rates)
    yield Figure(
        "engine.light_rate",
        best[0],
        "jobs/s",
        best[1],
        "rq SimpleWorker, same run",
        "at least 150 jobs/s on a machine where SimpleWorker makes 411: 0.36 of it",
    )


def bare_queue(name: str, client: Any) -> Any:
    """Return a queue that knows nothing of us."""
    from rq import Queue
    from rq.serializers import JSONSerializer

    return Queue(name, connection=client, serializer=JSONSerializer)


def check_done(kind: str, n: int) -> None:
    """Stop a benchmark whose jobs did not run: its figure would be a lie."""
    from ingestion.models import Job

    done = Job.objects.filter(source=kind, state="completed").count()
    if done != n:
        raise SystemExit(f"{done} of {n} {kind} jobs completed")


def latency(owner: Any) -> Iterator[Figure]:
    """From the accepted job to the author's first line, beside RQ's own."""
    from ingestion import lifecycle, queues
    from ingestion.models import Job

    ours, theirs = [], []
    client = queues._client()
    worker = subprocess.Popen([sys.executable, "manage.py", "worker"])
    rq_worker = subprocess.Popen(
        [sys.executable, "-m", "rq.cli", "worker", "bare", "--url", _url(), "--serializer", "json", "--quiet"]
    )
    try:
        for n in range(SHOTS + 3):
            job = lifecycle.create("clock", {}, owner=owner).job
            asked = time.time()
            row = wait_for(lambda job=job: Job.objects.filter(pk=job.pk, state="completed").first())
            token = bare_queue("bare", client).enqueue_call("tests.benchmarks.burst.noop", result_ttl=60)
            asked_rq = time.time()
            wait_for(lambda token=token: token.get_status(refresh=True) == "finished")
            if n >= 3:  # the first ones pay for imports
                ours.append((row.result["at"] - asked) * 1000)
                theirs.append((token.latest_result().return_value - asked_rq) * 1000)
    finally:
        for child in (worker, rq_worker):
            child.terminate()
            child.wait(20)
    yield Figure(
        "engine.start_latency",
        p50(ours),
        "ms p50",
        p50(ours) / p50(theirs),
        f"rq Worker, same run ({p50(theirs):.1f} ms)",
        "at most RQ's own + 10 ms",
    )


def wait_for(look: Any) -> Any:
    """Return the first true answer, within 30 s."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.005)
    raise SystemExit("a benchmark waited in vain")


def _url() -> str:
    from django.conf import settings

    return str(settings.REDIS_URL)


def posting(owner: Any) -> Iterator[Figure]:
    """POST /api/jobs, and the same answer without a job: GET /api/sources."""
    from django.test import Client

    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(owner)
    took, floor = [], []
    for n in range(120):
        name = {"source": "shelves", "params": {"name": f"post-{n}"}}
        began = time.perf_counter()
        client.get("/healthz")
        between = time.perf_counter()
        answer = client.post("/api/jobs", name, content_type="application/json")
        took.append((time.perf_counter() - between) * 1000)
        floor.append((between - began) * 1000)
        if answer.status_code not in (201, 429):
            raise SystemExit(f"POST /api/jobs answered {answer.status_code}")
        if answer.status_code == 429:
            took.pop()
            break
    yield Figure(
        "engine.post_job",
        p50(took),
        "ms p50",
        p50(took) / p50(floor),
        "GET /healthz, same run",
        "under 15 ms",
    )


def a_run(owner: Any) -> Any:
    """Start a job in this process and return its Run."""
    from ingestion import lifecycle
    from ingestion.run import Run
    from ingestion.source import get

    token = uuid4()
    started = lifecycle.start(lifecycle.create("ping", {}, owner=owner).job.pk, worker="bench", token=token)
    assert started is not None
    return Run(started, get("ping"), token)


def tracking(owner: Any) -> Iterator[Figure]:
    """What `track` adds to a bare loop."""
    run, values = a_run(owner), list(range(LOOP))
    bare = best(lambda: _loop(values))
    with run.step("work") as step:
        tracked = best(lambda: _loop(step.track(values)))
        drawn = best(lambda: _loop(step.track(iter(values), LOOP)))
    yield Figure(
        "engine.track",
        (tracked - bare) / LOOP * 1e6,
        "us an item over the loop",
        tracked / bare,
        "bare loop",
        "0.03",
    )
    yield Figure(
        "engine.track_any_iterable",
        (drawn - bare) / LOOP * 1e6,
        "us an item over the loop",
        drawn / bare,
        "bare loop",
        "0.03",
    )


def _loop(values: Any) -> None:
    for _ in values:
        pass


def best(action: Any, times: int = 7) -> float:
    """Return the shortest of several runs, in seconds."""
    return min(seconds(action) for _ in range(times))


def items(owner: Any) -> Iterator[Figure]:
    """`with item:` beside the author's own transaction, and beside that and the bare statement of its end."""
    from django.db import transaction

    from config.statements import execute
    from ingestion.items import _END
    from ingestion.processes import settle
    from ingestion.settings import LEASE_SECONDS
    from tests.demo.models import Effect

    run = a_run(owner)
    settle()  # as a worker does before it works

    def ours(step: Any) -> None:
        for item in step.items(range(ITEMS), key=str):
            with item:
                Effect.objects.create(job=run.id, key=item.key, token="")

    def alone() -> None:
        for n in range(ITEMS):
            with transaction.atomic():
                Effect.objects.create(job=run.id, key=str(n), token="")

    def floor(rows: list[int]) -> None:
        for n, row in enumerate(rows):
            with transaction.atomic():
                Effect.objects.create(job=run.id, key=str(n), token="")
                fence = [LEASE_SECONDS, run.id, run.token]
                execute(_END["items_done"], [*fence, "done", "", 1, None, "", None, row])

    took: dict[str, list[float]] = {"ours": [], "alone": [], "floor": []}
    for turn in range(TURNS):
        took["alone"].append(seconds(alone))
        took["floor"].append(seconds(partial(floor, registered(run, f"floor{turn}"))))
        with run.step(f"work{turn}") as step:
            took["ours"].append(seconds(partial(ours, step)))
    best = {whose: min(times) / ITEMS * 1e6 for whose, times in took.items()}
    yield Figure(
        "engine.item",
        best["ours"],
        "us an item",
        best["ours"] / best["alone"],
        f"the author's own transaction ({best['alone']:.0f} us)",
        "at most 1.3",
    )
    yield Figure(
        "engine.item_over_floor",
        best["ours"] - best["floor"],
        "us an item over the floor",
        best["ours"] / best["floor"],
        f"that and the bare statement of an item's end ({best['floor']:.0f} us)",
        "at most 1.3",
    )


def registered(run: Any, name: str) -> list[int]:
    """Write the rows of a step's items; return their keys."""
    from ingestion.models import JobItem

    with run.step(name) as step:
        next(step.items(range(ITEMS), key=str))
    return list(
        JobItem.objects.filter(job=run.id, step=name).order_by("ordinal").values_list("pk", flat=True)
    )


def seconds(action: Any) -> float:
    """Return how long an action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def writing(owner: Any) -> Iterator[Figure]:
    """UPDATEs a second while a job reports at full rate."""
    from ingestion.models import Job
    from ingestion.reporter import Reporter

    run = a_run(owner)
    reporter = Reporter(run)
    before = Job.objects.get(pk=run.id).version
    reporter.start()
    began = time.monotonic()
    with run.step("work") as step:
        for _ in step.track(range(10**12)):
            if time.monotonic() - began > 5:
                break
    reporter.stop()
    writes = Job.objects.get(pk=run.id).version - before - 1
    yield Figure(
        "engine.writes",
        writes / 5,
        "UPDATEs/s at full rate",
        writes / 5 / 4,
        "4 a second",
        "at most 4 a second",
    )


if __name__ == "__main__":
    main()
