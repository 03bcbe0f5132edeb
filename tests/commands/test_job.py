"""`job watch|show|cancel|retry|answer ID`."""

import json
import os
import signal
import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from ingestion import lifecycle
from ingestion.models import Job, State
from ingestion.testing import resume_inline, run_inline
from tests.commands.conftest import process, run
from tests.engine import ROOT, environment
from tests.pages import rows
from tests.sessions import holding

UNKNOWN = "0198c5a4-0000-7000-8000-000000000000"


@pytest.mark.django_db
@pytest.mark.parametrize("verb", ["watch", "show", "cancel", "retry"])
def test_an_id_is_given_whole(verb: str) -> None:
    assert run("job", verb, UNKNOWN).err == f"No job {UNKNOWN}."  # CMD5
    assert "abc is not a job id." in run("job", verb, "abc").err  # CMD4
    assert "is not a job id." in run("job", verb, UNKNOWN[:8]).err


@pytest.mark.parametrize(
    ("row", "argv", "told"),
    [
        ("CMD1", ["job"], "usage: "),
        ("CMD2", ["job", "frobnicate"], "invalid choice"),
        ("CMD3", ["job", "cancel"], "usage: "),
        ("CMD4", ["job", "cancel", "abc"], "abc is not a job id."),
        ("CMD18", ["job", "watch", UNKNOWN, "--interval", "0"], "at least 0.2"),
    ],
)
def test_a_wrong_call_ends_with_2(row: str, argv: list[str], told: str) -> None:
    said = process(*argv, DATABASE_URL="postgres://headway@127.0.0.1:1/headway")
    assert (said.code, told in said.err) == (2, True), said.err


# ---- show, watch ------------------------------------------------------------------------------------------


def test_show_tells_all_about_a_job(alice: User) -> None:
    job = run_inline("shelves", owner=alice, n=3, fail=["k0001"])
    said = run("job", "show", job.pk).out
    for text in (str(job.pk), "alice", "Completed with errors", "Fill the shelf", "Box k0001 is broken."):
        assert text in said
    data = json.loads(run("job", "show", job.pk, "--json").out)
    assert (data["id"], data["state"]) == (str(job.pk), "partial")
    assert data["items_by_key"]["k0001"]["state"] == "failed"


@pytest.mark.parametrize(
    ("state", "code", "told"),
    [
        ("completed", 0, "Complete"),
        ("partial", 4, "errors"),
        ("failed", 1, "broke"),
        ("cancelled", 1, "Cancelled"),
    ],
)
def test_watch_of_an_ended_job_says_how_it_ended(alice: User, state: str, code: int, told: str) -> None:
    said = run("job", "watch", rows.job(alice, state).pk)
    assert (said.code, told in said.err) == (code, True)


@pytest.mark.django_db(transaction=True)
def test_ctrl_c_stops_watching(alice: User) -> None:  # CMD19
    job = lifecycle.create("ping", {}, owner=alice).job
    child = subprocess.Popen(
        [sys.executable, "manage.py", "job", "watch", str(job.pk)],
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.PIPE,
    )
    assert child.stderr is not None
    child.stderr.readline()
    os.kill(child.pid, signal.SIGINT)
    assert child.communicate(timeout=30)[1].decode().rstrip().endswith("Stopped.")
    assert child.returncode == 130


# ---- cancel -----------------------------------------------------------------------------------------------


def test_a_pending_job_is_cancelled(alice: User) -> None:
    job = rows.job(alice)
    assert run("job", "cancel", job.pk).out.strip() == f"Job {job.pk} is cancelled."
    assert Job.objects.get(pk=job.pk).state == State.CANCELLED


def test_a_running_job_is_asked_to_stop(alice: User) -> None:
    job = rows.job(alice, "running")
    assert json.loads(run("job", "cancel", job.pk, "--json").out)["display"] == "cancelling"


def test_an_ended_job_is_not_cancelled(alice: User) -> None:  # CMD6
    job = rows.job(alice, "completed")
    said = run("job", "cancel", job.pk)
    assert (said.code, said.err) == (1, f"Job {job.pk} has already finished (completed).")


def test_many_are_cancelled_only_when_one_is_sure(alice: User, bob: User) -> None:  # CMD8
    for owner in (alice, alice, bob):
        rows.job(owner)
    said = run("job", "cancel", "--all")
    assert (said.code, said.err) == (1, "Say --yes to cancel 3 jobs.")
    assert run("job", "cancel", "--user", "bob").err == "Say --yes to cancel 1 job."
    assert not Job.objects.filter(state=State.CANCELLED).exists()
    run("job", "cancel", "--user", "alice", "--yes")
    assert {job.owner for job in Job.objects.filter(state=State.CANCELLED)} == {alice}
    assert len(json.loads(run("job", "cancel", "--all", "--yes", "--json").out)["cancelled"]) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("row", "argv", "code", "told"),
    [
        ("CMD9", ["--all", "--yes"], 0, "Nothing to cancel."),
        ("CMD9", ["--all"], 0, "Nothing to cancel."),
        ("CMD10", ["--user", "nobody"], 1, "No user nobody."),
        ("CMD3", [str(uuid4()), "--all"], 2, "usage: job cancel ID, or --all"),
    ],
)
def test_what_many_may_be(row: str, argv: list[str], code: int, told: str) -> None:
    said = run("job", "cancel", *argv)
    assert (said.code, told in said.out + said.err) == (code, True)


@pytest.mark.django_db(transaction=True)
def test_a_job_that_something_holds_is_told_and_holds_up_no_other(alice: User) -> None:
    jobs = [rows.job(alice) for _ in range(3)]
    with holding(jobs[0]):
        said = run("job", "cancel", "--all", "--yes")
    assert "2 of 3 jobs cancelled" in said.out and "Something else is at work on it." in said.err
    assert Job.objects.filter(state=State.CANCELLED).count() == 2


# ---- retry ------------------------------------------------------------------------------------------------


def test_retry_does_the_rest(alice: User) -> None:
    job = run_inline("shelves", owner=alice, n=3, fail=["k0001"])
    said = run("job", "retry", job.pk, "--failed-items", "--json")
    child = Job.objects.get(retry_of=job)
    assert json.loads(said.out)["id"] == str(child.pk)
    assert child.items_done == 2
    assert f"Job {child.pk} does the rest already." in run("job", "retry", job.pk).out


def test_each_choice_narrows_what_is_retried(alice: User) -> None:
    job = run_inline("shelves", owner=alice, n=4, fail=["k0001", "k0002"])
    both = ["--failed-items", "--key"]
    assert "Nothing to retry." in run("job", "retry", job.pk, *both, "k0000").out
    assert not Job.objects.filter(retry_of=job).exists()
    run("job", "retry", job.pk, *both, "k0001")
    child = Job.objects.get(retry_of=job)
    taken_over = child.items.order_by("key").values_list("key", flat=True)
    assert list(taken_over) == ["k0000", "k0002", "k0003"]


@pytest.mark.parametrize(
    ("row", "state", "argv", "code", "told"),
    [
        ("CMD11", "running", [], 1, "Job {} has not finished."),
        ("CMD11", "running", ["--failed-items"], 1, "Job {} has not finished."),
        ("CMD12", "completed", ["--failed-items"], 0, "Nothing to retry."),
        ("CMD12", "failed", ["--failed-items"], 0, "Nothing to retry."),
        ("CMD12", "completed", [], 0, "Nothing to retry."),
        ("-", "failed", ["--key", "nosuch"], 0, "Nothing to retry."),
    ],
)
def test_what_cannot_be_retried(
    alice: User, row: str, state: str, argv: list[str], code: int, told: str
) -> None:
    job = rows.job(alice, state, params={})
    said = run("job", "retry", job.pk, *argv)
    assert (said.code, (said.out + said.err).strip()) == (code, told.format(job.pk))


# ---- answer -----------------------------------------------------------------------------------------------


def _waiting(owner: Any) -> Job:
    return run_inline("door", owner=owner)


def test_a_waiting_job_is_answered(root: User, alice: User) -> None:
    job = _waiting(alice)
    assert run("job", "answer", job.pk, "approve").code == 0
    job = resume_inline(Job.objects.get(pk=job.pk))
    assert (job.state, job.message) == (State.COMPLETED, "approve by root")
    said = run("job", "answer", job.pk, "approve")
    assert said.code == 1
    assert said.err.startswith("Already answered (approve) by root at ")


def test_no_needs_a_reason(root: User, alice: User) -> None:
    job = _waiting(alice)
    assert run("job", "answer", job.pk, "reject").code == 2
    run("job", "answer", job.pk, "reject", "reason=not today", "--user", "alice")
    job.refresh_from_db()
    assert (job.state, job.message) == (State.CANCELLED, "Rejected by alice: not today")
