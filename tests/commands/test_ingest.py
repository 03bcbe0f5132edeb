"""`ingest`: params from a command line, files, refusals, watching."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from ingestion import queues
from ingestion.models import Job, State, Upload
from ingestion.testing import resume_inline
from tests.commands.conftest import process, run
from tests.engine import ROOT, environment
from tests.waiting import until

CSV = b"tax_ident;name\n1;One\n2;Two\n"


def test_a_job_is_accepted_for_the_first_superuser(root: User) -> None:
    said = run("ingest", "shelves", "n=3", "wait=0.5", "fail=k1", "fail=k2", "name=a shelf")
    job = Job.objects.get()
    assert said.code == 0
    assert str(job.pk) in said.out
    assert job.get_absolute_url() in said.out
    assert job.owner == root
    assert (job.params["n"], job.params["wait"], job.params["fail"]) == (3, 0.5, ["k1", "k2"])
    assert job.params["name"] == "a shelf"


def test_json_is_the_job_as_the_api_says_it(root: User, alice: User) -> None:
    said = run("ingest", "shelves", "n=3", "--user", "alice", "--json")
    data = json.loads(said.out.strip().split("\n")[-1])
    assert (data["owner"], data["created"], data["mine"], data["can"]) == ("alice", True, True, ["cancel"])
    assert data["params"]["n"] == 3
    again = json.loads(run("ingest", "shelves", "n=3", "--user", "alice", "--json").out)
    assert (again["id"], again["created"]) == (data["id"], False)


def test_a_file_parameter_is_a_path(root: User, tmp_path: Path) -> None:
    file = tmp_path / "units.csv"
    file.write_bytes(CSV)
    assert run("ingest", "imports", f"file={file}").code == 0
    upload = Upload.objects.get()
    assert (upload.name, upload.size, upload.job) == ("units.csv", len(CSV), Job.objects.get())


def test_a_file_for_a_job_that_is_open_already_is_not_kept(root: User, tmp_path: Path) -> None:
    file = tmp_path / "policy.txt"
    file.write_text("Suppliers are audited every two years.\n")
    for _ in range(2):
        assert run("ingest", "documents", f"file={file}").code == 0
    assert Upload.objects.get().job == Job.objects.get()


def test_a_file_may_come_on_stdin(root: User, stdin: Callable[[bytes], None]) -> None:
    stdin(CSV)
    assert run("ingest", "imports", "file=-").code == 0
    assert Upload.objects.get().size == len(CSV)


@pytest.mark.parametrize(
    ("row", "argv", "code", "told"),
    [
        ("CMD20", [], 1, "required: SOURCE"),
        ("CMD21", ["nosuch"], 1, "No source nosuch. Known: "),
        ("CMD23", ["imports", "file=/"], 1, "/: is a directory."),
        ("CMD24", ["imports", "file=/no/such.csv"], 1, "/no/such.csv: No such file or directory."),
        ("CMD26", ["imports", "file=/dev/zero"], 1, "The file is larger than the 1024 MB limit."),
        ("CMD25", ["imports", "file=/dev/null"], 1, "The file is empty."),
        ("CMD29", ["shelves", "n"], 2, "Use name=value."),
        ("CMD29", ["shelves", "=3"], 2, "Use name=value."),
        ("CMD29", ["shelves", "n=1", "n=2"], 2, "n is given twice."),
        ("CMD30", ["shelves", "n=abc"], 1, "n: Must be a whole number."),
        ("CMD30", ["shelves", "n=9999"], 1, "n: Must be at most 5,000."),
        ("CMD30", ["shelves", "colour=red"], 1, "colour: Unknown field."),
        ("CMD30", ["imports"], 1, "file: This field is required."),
        ("CMD31", ["ping", "--user", "nobody"], 1, "No user nobody."),
        ("CMD69", ["ping", "--frobnicate"], 1, "unrecognized arguments: --frobnicate"),
    ],
)
def test_what_cannot_be_started_is_said(root: User, row: str, argv: list[str], code: int, told: str) -> None:
    said = run("ingest", *argv)
    assert (said.code, told in said.err) == (code, True), said
    assert not Job.objects.exists()
    assert not Upload.objects.exists()


def test_an_empty_stdin_is_an_empty_file(root: User, stdin: Callable[[bytes], None]) -> None:  # CMD25
    stdin(b"")
    assert run("ingest", "imports", "file=-").err == "The file is empty."


def test_a_large_file_is_refused_unread(root: User, tmp_path: Path) -> None:  # CMD28
    file = tmp_path / "huge.csv"
    with file.open("wb") as sparse:
        sparse.truncate(1025 * 1024 * 1024)
    assert run("ingest", "imports", f"file={file}").err == "The file is larger than the 1024 MB limit."


def test_an_inactive_user_is_none(root: User, alice: User) -> None:  # CMD31
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert run("ingest", "ping", "--user", "alice").err == "No user alice."


def test_without_redis_a_job_is_accepted_all_the_same(
    root: User, monkeypatch: pytest.MonkeyPatch
) -> None:  # CMD37
    monkeypatch.setattr(queues, "_quick", None)
    monkeypatch.setattr("django.conf.settings.REDIS_URL", "redis://127.0.0.1:1/0")
    said = run("ingest", "ping")
    assert said.code == 0
    assert str(Job.objects.get().pk) in said.out
    assert "Redis is not reachable; the job starts when it is back." in said.err


@pytest.mark.parametrize(
    ("row", "argv", "code", "told"),
    [
        ("-", ["n=2"], 0, "Complete: "),
        ("CMD34", ["n=2", "fail=k0001"], 4, "1 done, 1 failed, 0 skipped."),
        ("-", ["n=1", "fail=k0000"], 1, "Failed: "),
    ],
)
def test_watching_ends_with_what_became_of_the_job(
    root: User, monkeypatch: pytest.MonkeyPatch, row: str, argv: list[str], code: int, told: str
) -> None:
    _run_at_once(monkeypatch)
    said = run("ingest", "shelves", *argv, "--watch", "--json")
    assert (said.code, told in said.err) == (code, True), said
    assert json.loads(said.out)["state"] == Job.objects.get().state


def test_watching_ends_when_a_person_is_needed(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    _run_at_once(monkeypatch)
    said = run("ingest", "door", "--watch")
    assert said.code == 3
    job = Job.objects.get()
    assert f"Open it? Answer it with: job answer {job.pk} approve (or: reject reason=TEXT)" in said.err


@pytest.mark.parametrize(
    ("kind", "answer"), [("match", "match COLUMN=TARGET"), ("upload", "upload file=PATH")]
)
def test_who_is_asked_is_told_the_answer_that_fits(kind: str, answer: str) -> None:
    from ingestion.management import watching

    job = Job(state="waiting", waiting_for={"kind": kind, "text": "Which one?"})
    assert watching.outcome(job).endswith(f"Which one? Answer it with: job answer {job.pk} {answer}")


def _run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the job in this process the moment somebody watches it."""
    from ingestion.management import watching

    def watch(job_id: Any, *args: Any) -> Job:
        resume_inline(Job.objects.get(pk=job_id))
        return looked(job_id, *args)

    looked = watching.watch
    monkeypatch.setattr(watching, "watch", watch)


# ---- as processes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "argv"), [("CMD20", []), ("CMD69", ["ping", "--frobnicate"]), ("CMD29", ["ping", "x"])]
)
def test_a_wrong_call_ends_with_2(root_committed: User, row: str, argv: list[str]) -> None:
    assert process("ingest", *argv).code == 2


def test_ctrl_c_leaves_the_job_running(root_committed: User) -> None:  # CMD35
    child = subprocess.Popen(
        [sys.executable, "manage.py", "ingest", "ping", "--watch"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stderr is not None
    line = child.stderr.readline().decode()  # it watches
    assert "was asked for" in line
    os.kill(child.pid, signal.SIGINT)
    rest = child.communicate(timeout=30)[1].decode()
    job = Job.objects.get()
    assert child.returncode == 130
    assert rest.rstrip().endswith(f"Job {job.pk} goes on.")
    assert job.state == State.PENDING


def test_nobody_writing_a_fifo_is_waited_for(root_committed: User, tmp_path: Path) -> None:  # CMD27
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = subprocess.Popen(
        [sys.executable, "manage.py", "ingest", "imports", f"file={fifo}"],
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.PIPE,
    )
    until(lambda: _waits_for_writer(child.pid), 60, "the command opening the fifo")
    os.kill(child.pid, signal.SIGINT)
    assert child.communicate(timeout=30)[1].decode().rstrip().endswith("Stopped.")
    assert child.returncode == 130


def _waits_for_writer(pid: int) -> bool:
    return Path(f"/proc/{pid}/wchan").read_text() in ("fifo_open", "wait_for_partner")


def test_without_a_database_one_line_says_so() -> None:  # CMD36
    said = process("ingest", "ping", DATABASE_URL="postgres://headway@127.0.0.1:1/headway")
    assert (said.code, said.err.strip()) == (1, "Cannot reach the database at 127.0.0.1:1.")
