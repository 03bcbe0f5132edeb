"""S2's HTTP edge and its sockets: tasks as the seed names them, told to who may see them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from structlog.testing import capture_logs

from ingestion import lifecycle
from ingestion.keeper import Keeper
from ingestion.models import Job
from ingestion.sources.articles import members, tasks
from ingestion.sources.articles.models import Analysis, Role, Topic
from ingestion.sources.articles.sample import standin
from ingestion.sources.articles.sockets import JobProgress, TopicProgress
from ingestion.testing import resume_inline, run_inline
from realtime.frames import Ready
from tests.realtime.client import Wire, connect, fresh_hub, in_database, session

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/background-tasks"


def start(web: Client, topic: Topic, urls: list[str] = standin.URLS) -> Job:
    body = {"topic": topic.name, "urls": urls}
    sent = web.post(f"{URL}/bulk-analysis", body, content_type="application/json")
    assert sent.status_code == 201, sent.json()
    return Job.objects.get(pk=sent.json()["task_id"])


def get(web: Client, path: str) -> dict[str, Any]:
    answer = web.get(f"{URL}/{path}")
    assert answer.status_code == 200, answer.json()
    return answer.json()


@pytest.mark.seed(
    "S2.2", "S2.8", "S2.15", "S2.20", "S2.21", "S2.22", "S2.31", "S2.33", "S2.46", "S2.70", "S2.71", "S2.73",
    "S2.74", "S2.75", "S2.76", "S2.77", "S2.78", "S2.79", "S2.80", "S2.81"
)  # fmt: skip
def test_a_task_is_started_and_polled(web: Client, topic: Topic):
    job = start(web, topic)
    waits = get(web, f"task/{job.pk}")
    assert waits["success"] is True
    assert (
        waits["task"]
        | {
            "status": "PENDING",
            "progress": 0,
            "started_at": None,
            "completed_at": None,
        }
        == waits["task"]
    )
    assert lifecycle.start(job.pk, worker="inline", token=job.pk) is not None
    assert get(web, f"task/{job.pk}")["task"]["status"] == "RUNNING"
    assert lifecycle.release(job.pk, job.pk)
    resume_inline(job)
    task = get(web, f"task/{job.pk}")["task"]
    assert {name: task[name] for name in task if not name.endswith("_at")} == {
        "id": str(job.pk),
        "name": "Bulk Analysis: River ferries",
        "status": "COMPLETED",
        "progress": 100,
        "processed_items": 5,
        "total_items": 5,
        "current_item": task["current_item"],
        "error": None,
    }
    assert task["current_item"].startswith("5 of 5 articles analysed")
    assert task["created_at"] <= task["started_at"] <= task["completed_at"]


@pytest.mark.seed("S2.36", "S2.48", "S2.49")
def test_a_waiting_task_is_cancelled_and_an_ended_one_says_so(web: Client, topic: Topic):
    job = start(web, topic)
    assert web.delete(f"{URL}/task/{job.pk}").json()["task"]["status"] == "CANCELLED"
    again = web.delete(f"{URL}/task/{job.pk}")
    assert (again.status_code, again.json()["code"]) == (409, "already_finished")


@pytest.mark.seed("S2.47", "S2.34", "S2.23", "S2.35")
def test_tasks_are_listed_and_counted_by_their_state(web: Client, topic: Topic):
    done = resume_inline(start(web, topic))
    some = resume_inline(start(web, topic, [standin.URLS[0], f"{standin.ADDRESS}/nothing"]))
    failed = resume_inline(start(web, topic, [f"{standin.ADDRESS}/nothing"]))
    waits = start(web, topic)
    listed = get(web, "tasks")["tasks"]
    assert [one["id"] for one in listed] == [str(one.pk) for one in (waits, failed, some, done)]
    assert [one["status"] for one in listed] == ["PENDING", "FAILED", "COMPLETED", "COMPLETED"]
    assert listed[2]["error"] == "1 of 2 could not be done."
    assert listed[1]["error"]
    assert [one["id"] for one in get(web, "tasks?status=FAILED")["tasks"]] == [str(failed.pk)]
    counts = {"total": 4, "pending": 1, "running": 0, "completed": 2, "failed": 1, "cancelled": 0}
    assert get(web, "summary") == {"success": True, "summary": counts}
    assert web.get(f"{URL}/tasks?status=done").status_code == 400


@pytest.mark.seed("S2.87", "S2.90", "S2.97")
def test_three_run_at_once_and_the_fourth_waits_and_says_so(web: Client, topic: Topic):
    jobs = [start(web, topic) for _ in range(4)]
    claimed = [lifecycle.claim("default", worker="inline", token=job.pk) for job in jobs]
    assert [one and one.pk for one in claimed] == [*(job.pk for job in jobs[:3]), None]
    assert get(web, "summary")["summary"] | {"running": 3, "pending": 1} == get(web, "summary")["summary"]
    Keeper().tell_positions()
    waits = get(web, f"task/{jobs[3].pk}")["task"]
    assert (waits["status"], waits["current_item"]) == ("PENDING", "3 of 3 busy, 0 before yours")


@pytest.mark.seed("S2.89")
def test_a_hundred_may_wait_and_the_next_is_told_to_come_later(web: Client, alice: User, topic: Topic):
    params = {"topic": topic.pk, "urls": standin.URLS[:1]}
    for _ in range(100):
        lifecycle.create("bulk_analysis", params, owner=alice)
    body = {"topic": topic.pk, "urls": standin.URLS[:1]}
    sent = web.post(f"{URL}/bulk-analysis", body, content_type="application/json")
    assert (sent.status_code, sent.json()["code"], sent.headers["Retry-After"]) == (
        429,
        "quota_exceeded",
        "60",
    )
    assert get(web, "summary")["summary"]["pending"] == Job.objects.count() == 100


@pytest.mark.seed("S2.37")
def test_a_cleanup_removes_what_ended_a_while_ago(web: Client, topic: Topic):
    old, new, waits = resume_inline(start(web, topic)), resume_inline(start(web, topic)), start(web, topic)
    Job.objects.filter(pk=old.pk).update(finished_at=datetime.now(UTC) - timedelta(hours=25))
    assert web.generic("POST", f"{URL}/cleanup").json() == {"success": True, "removed": 1}
    assert set(Job.objects.values_list("pk", flat=True)) == {new.pk, waits.pk}
    body = {"max_age_hours": 0}
    assert web.post(f"{URL}/cleanup", body, content_type="application/json").json()["removed"] == 1
    assert Job.objects.get().pk == waits.pk


@pytest.mark.seed("S2.103")
def test_a_stranger_sees_no_task_and_a_member_those_of_their_topic(web, bob: User, topic: Topic):
    job = start(web, topic)
    other = Client()
    other.force_login(bob)
    assert other.get(f"{URL}/task/{job.pk}").status_code == 404
    assert other.delete(f"{URL}/task/{job.pk}").status_code == 404
    assert get(other, "tasks")["tasks"] == []
    body = {"topic": topic.pk, "urls": standin.URLS}
    assert other.post(f"{URL}/bulk-analysis", body, content_type="application/json").status_code == 400
    members.add(topic, bob, Role.VIEWER)
    assert get(other, f"task/{job.pk}")["task"]["status"] == "PENDING"
    assert other.delete(f"{URL}/task/{job.pk}").status_code == 403
    assert other.post(f"{URL}/bulk-analysis", body, content_type="application/json").status_code == 403
    assert Client().get(f"{URL}/tasks").status_code == 401


@pytest.mark.seed("S2.31")
@pytest.mark.parametrize("body", [{}, {"topic": "River ferries"}, {"urls": ["https://x.example/"]},
                                  {"topic": "River ferries", "urls": []}, {"topic": "None", "urls": ["x"]},
                                  {"topic": True, "urls": ["x"]}])  # fmt: skip
def test_without_addresses_or_a_topic_nothing_starts(web: Client, topic: Topic, body):
    """API31."""
    assert web.post(f"{URL}/bulk-analysis", body, content_type="application/json").status_code == 400
    assert not Job.objects.exists()


# ---- messages ---------------------------------------------------------------------------------------------


def state(**values: Any) -> dict[str, Any]:
    """Return the JSON of a job as its stream tells it."""
    items = {"total": 12, "done": 5, "failed": 1, "skipped": 0}
    return {
        "id": "j1",
        "source": "bulk_analysis",
        "title": "Bulk Analysis: Tides",
        "state": "running",
        "progress": 0.5,
        "items": items,
        "message": "Processing batch 2/3",
        "steps": {"articles": {"state": "running"}},
        "error": None,
        **values,
    }


@pytest.mark.seed("S2.11", "S2.56", "S2.57", "S2.58", "S2.59", "S2.60", "S2.61", "S2.62", "S2.63", "S2.64",
                  "S2.83")  # fmt: skip
def test_progress_says_how_far_it_is():
    told = tasks.message(state(), 4)
    stamp = told.pop("timestamp")
    assert datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ") and len(stamp) == 24
    assert told == {
        "type": "job_update",
        "job_id": "j1",
        "status": "progress",
        "progress": 50.0,
        "processed": 6,
        "total": 12,
        "message": "Processing batch 2/3",
        "stage": "articles",
    }
    waiting = state(state="pending", pending_reason="slot", steps={"articles": {"state": "pending"}})
    assert tasks.message(waiting, 0)["stage"] == "slot"


def test_what_is_saved_is_counted_from_one_version_to_the_next(alice: User, topic: Topic):
    params = {"topic": topic.pk, "urls": [*standin.URLS, f"{standin.ADDRESS}/nothing"]}
    job = run_inline("bulk_analysis", alice, **params)
    kept = [one.version for one in job.items.filter(state="done") if one.result["saved"]]
    assert 1 < len(kept) < 5
    pk, middle = str(job.pk), sorted(kept)[0]
    assert tasks.saved_in(pk, -1, middle) == 1
    assert tasks.saved_in(pk, middle, job.version) == len(kept) - 1
    retried = lifecycle.retry(job, alice).job
    assert tasks.saved_in(str(retried.pk), -1, retried.version) == len(kept)


@pytest.mark.seed("S2.12", "S2.65", "S2.66", "S2.67", "S2.68", "S2.84")
@pytest.mark.parametrize(("ended", "status"), [("completed", "success"), ("partial", "partial")])
def test_completion_tells_results(ended, status):
    told = tasks.message(state(state=ended), 4)
    assert told["status"] == "completed"
    assert told["results"] == {"saved": 4, "errors": 1, "processed": 6, "status": status}


@pytest.mark.seed("S2.13", "S2.69", "S2.85")
def test_errors_are_told_with_their_text():
    told = tasks.message(
        state(state="failed", error={"code": "topic_gone", "text": "The topic was removed."}), 0
    )
    assert (told["status"], told["error"]) == ("error", "The topic was removed.")
    items = {"total": 0, "done": 0, "failed": 0, "skipped": 0}
    assert tasks.message(state(state="cancelled", items=items), 0)["error"] == "Cancelled."


@pytest.mark.seed("S2.14", "S2.69")
def test_batches_are_told_once_each():
    told = tasks.batch(state(), 0, 4)
    assert told is not None
    assert (told["status"], told["batch_completed"], told["total_batches"]) == ("batch_update", 1, 3)
    assert told["results"] == {"saved": 4, "errors": 1, "processed": 6}
    assert tasks.batch(state(), 1, 4) is None
    whole = tasks.batch(state(items={"total": 12, "done": 12, "failed": 0, "skipped": 0}), 1, 12)
    assert whole is not None and whole["batch_completed"] == 3


async def opened(user: Any, path: str) -> Wire:
    cookie, _ = await in_database(session, user)
    return await connect(cookie, path=path)


async def until_ended(wire: Wire, job: Job) -> list[dict[str, Any]]:
    """Return what is told until a job has ended."""
    told: list[dict[str, Any]] = []
    while not told or told[-1]["job_id"] != str(job.pk) or told[-1]["status"] not in ("completed", "error"):
        told.append(await wire.next("job_update"))
    return told


@pytest.mark.seed("S2.1", "S2.9", "S2.82", "S2.84", "S2.96", "S2.101", "S2.107")
async def test_a_socket_tells_of_a_job_until_it_has_ended(alice: User, topic: Topic):
    params = {"topic": topic.pk, "urls": standin.URLS}
    made = await in_database(lifecycle.create, "bulk_analysis", params, owner=alice)
    async with fresh_hub():
        began = asyncio.get_running_loop().time()
        wire = await opened(alice, f"/ws/bulk-process/{made.job.pk}")
        try:
            first = await wire.next("job_update")
            assert (first["status"], first["job_id"]) == ("progress", str(made.job.pk))
            await in_database(resume_inline, made.job)
            told = await until_ended(wire, made.job)
        finally:
            await wire.leave()
    took = asyncio.get_running_loop().time() - began
    assert took >= len(told) * JobProgress.spacing  # the first came before
    kept = Analysis.objects.exclude(kept_at=None)
    saved = await in_database(kept.count)
    assert 0 < saved < 5  # what was read and is below the threshold is processed, and not saved
    assert told[-1]["results"] == {"saved": saved, "errors": 0, "processed": 5, "status": "success"}
    assert [one["batch_completed"] for one in told if one["status"] == "batch_update"] == [1]


@pytest.mark.seed("S2.10")
async def test_a_socket_tells_of_all_jobs_of_a_topic(alice: User, topic: Topic):
    params = {"topic": topic.pk, "urls": standin.URLS}
    before = await in_database(run_inline, "bulk_analysis", alice, **params)
    async with fresh_hub():
        wire = await opened(alice, f"/ws/progress/{topic.pk}")
        try:
            one = (await in_database(lifecycle.create, "bulk_analysis", params, owner=alice)).job
            two = (await in_database(lifecycle.create, "bulk_analysis", params, owner=alice)).job
            heard: set[str] = set()
            while heard != {str(one.pk), str(two.pk)}:
                heard.add((await wire.next("job_update"))["job_id"])
            await in_database(resume_inline, two)
            told = await until_ended(wire, two)
        finally:
            await wire.leave()
    assert told[-1]["status"] == "completed"
    assert str(before.pk) not in heard | {one["job_id"] for one in told}


@pytest.mark.seed("S2.95")
async def test_the_log_can_be_searched_for_tasks_and_sockets(alice: User, topic: Topic):
    params = {"topic": topic.pk, "urls": standin.URLS[:1]}
    made = await in_database(lifecycle.create, "bulk_analysis", params, owner=alice)
    path, pk = f"/ws/bulk-process/{made.job.pk}", str(made.job.pk)
    with capture_logs() as lines:
        async with fresh_hub():
            wire = await opened(alice, path)
            await wire.next("job_update")
            await in_database(resume_inline, made.job)
            await until_ended(wire, made.job)
            await wire.leave()
    said = [line for line in lines if line.get("job") == pk or line.get("path") == path]
    assert [line["event"] for line in said] == ["socket_opened", "job_started", "job_ended", "socket_closed"]
    assert said[2]["state"] == "completed" and said[0]["user"] == alice.pk


async def test_the_sockets_of_strangers_stay_silent(alice: User, bob: User, topic: Topic):
    params = {"topic": topic.pk, "urls": standin.URLS}
    made = await in_database(lifecycle.create, "bulk_analysis", params, owner=alice)
    async with fresh_hub():
        wires = [
            await opened(bob, f"/ws/bulk-process/{made.job.pk}"),
            await opened(bob, f"/ws/progress/{topic.pk}"),
        ]
        mine = await opened(alice, f"/ws/bulk-process/{made.job.pk}")
        await in_database(resume_inline, made.job)
        await until_ended(mine, made.job)
        for wire in wires:
            while not wire.communicator.output_queue.empty():
                await wire._receive()
            assert not any(one.get("type") == "job_update" for one in wire.frames)
        for wire in [*wires, mine]:
            await wire.leave()


async def test_an_end_is_told_once_and_old_jobs_are_not_news():
    feed = JobProgress(None, {"job": "J1"})
    assert feed.streams == {"job:j1"}
    ended = state(state="completed")
    assert [one["status"] for one in feed.said(ended, 0)] == ["batch_update", "completed"]
    assert await feed.told(None, ended) == []  # type: ignore[arg-type]
    assert await feed.told(None, state(id="j2", source="documents")) == []  # type: ignore[arg-type]
    topic = TopicProgress(None, {"topic": "7"})
    await topic.tell(None, Ready("", "state", "topic:7", data={"jobs": ["j1"]}))  # type: ignore[arg-type]
    assert topic.streams == {"topic:7", "job:j1"}
    assert await topic.tell(None, Ready("", "state", "job:j1", data=ended)) == []  # type: ignore[arg-type]
    await topic.tell(None, Ready("", "state", "topic:7", data={"jobs": ["j3", "j1"]}))  # type: ignore[arg-type]
    assert topic.streams == {"topic:7", "job:j3", "job:j1"}
