"""Who is not answered asks again: with the same Idempotency-Key that never makes a second job."""

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User

from ingestion import tokens
from ingestion.models import Job
from tests.faults import programs
from tests.faults.conftest import FULL, rounds
from tests.site import Site
from tests.waiting import until

ROUNDS = 500 if FULL else 5
ROUNDS_OF_A_USER = 40  # below the limits of writes and of queued jobs that each user has


class Program:
    """What starts jobs over HTTP, on a line that can break."""

    def __init__(self, site: Site, user: User) -> None:
        self.site = site
        _, self.token = tokens.create(user, "starts")

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.site.front.address, timeout=20)
        connection.connect()
        return connection

    def start(self, connection: http.client.HTTPConnection, key: str) -> tuple[int, str]:
        """Ask for a job and return status and id."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request(
            "POST", "/api/jobs", '{"source": "ping"}', headers | ({"Idempotency-Key": key} if key else {})
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["id"]

    def start_unanswered(self, key: str) -> None:
        """Ask for a job; the request arrives, its answer does not."""
        self.site.front.cut()
        until(lambda: self.site.front.connections == 0, 10, "a quiet line")
        connection = self.connect()
        until(lambda: self.site.front.connections == 1, 10, "the connection")
        self.site.front.lose_answers()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            self.start(connection, key)
        connection.close()

    def start_until_answered(self, key: str) -> str:
        """Ask, lose the answer, ask again; return the job's id."""
        self.start_unanswered(key)
        status, job = self.start(self.connect(), key)
        assert status == 201
        return job


def test_a_start_whose_answer_was_cut_is_made_once(site: Site) -> None:
    for n in rounds(ROUNDS):
        if n % ROUNDS_OF_A_USER == 0:
            program = Program(site, User.objects.create_user(f"program-{n}"))
        before = Job.objects.count()
        job = program.start_until_answered(f"key-{n}")
        assert Job.objects.count() == before + 1, f"jobs of key-{n}"
        assert Job.objects.filter(pk=job).exists()


def test_without_the_key_a_cut_answer_makes_two(site: Site, owner: User) -> None:
    Program(site, owner).start_until_answered("")
    assert Job.objects.count() == 2


@pytest.mark.parametrize("key", ["", "the-same"])
def test_fifty_requests_for_the_same_work_are_one_job(site: Site, owner: User, key: str) -> None:
    """X41."""
    program = programs.Program(site.front.address, owner)
    start = threading.Barrier(10)

    def ask(_: int) -> tuple[int, str]:
        start.wait(60)
        status, told = program.start("nap", key, seconds=0)
        if status == 409:  # the first with this key is not answered yet
            assert told["code"] == "idempotency_in_progress"
        return status, told.get("id", "")

    with ThreadPoolExecutor(10) as pool:
        said = list(pool.map(ask, range(50)))
    job = Job.objects.get()
    assert {job_id for status, job_id in said if status != 409} == {str(job.pk)}
    made = [status for status, _ in said if status == 201]
    assert made if key else len(made) == 1  # with its key a request is answered as it was the first time
    assert {status for status, _ in said} <= {200, 201, 409}
