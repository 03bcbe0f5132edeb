"""What people answer: in the order of the questions, with their own files, within what a job may remember."""

import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.utils import timezone

from config.problems import Problem
from ingestion import file_types, lifecycle, source, uploads
from ingestion.admission import Refused
from ingestion.models import Job, State, Upload
from ingestion.source import Outcome, Source
from ingestion.testing import resume_inline, run_inline

pytestmark = pytest.mark.django_db(transaction=True)


class Curious(Source):
    """Asks three times, two of them the same."""

    kind, label = "curious", "Curious"

    def run(self, job: Any, p: Any) -> Outcome:
        """Tell what was answered."""
        first, second = job.wait_for("review", "Are you sure?"), job.wait_for("review", "Really?")
        file = job.wait_for("upload", "Then give the file.")
        if job.attempt == 4:
            raise source.SourceError("unlucky", "It did not work out.")
        return Outcome(data={"said": [first["data"], second["data"]], "file": file["data"]["file"]})


@pytest.fixture(autouse=True)
def curious(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the source for one test: others walk over all sources."""
    monkeypatch.setattr(source, "_registry", dict(source._registry))
    source.register(Curious)


@pytest.fixture
def asked(alice: User) -> Job:
    """A job of alice that waits for its file."""
    job = run_inline("curious", alice)
    for number in (1, 2):
        assert job.waiting_for["kind"] == "review"
        job = resume_inline(lifecycle.answer(job, "approve", {"n": number}, alice))
    return job


def file_of(user: User) -> Upload:
    return uploads.store(user, "a.csv", io.BytesIO(b"a,b\n1,2\n"))


def test_the_same_question_twice_gets_two_answers(alice: User, asked: Job) -> None:
    upload = file_of(alice)
    assert (asked.state, asked.waiting_for["text"]) == (State.WAITING, "Then give the file.")
    failed = resume_inline(lifecycle.answer(asked, "upload", {"file": str(upload.pk)}, alice))
    retried = lifecycle.retry(failed, alice).job
    Upload.objects.get(pk=upload.pk, job=retried, expires_at=None)  # the retry reads it again

    ended = resume_inline(retried)
    assert ended.result["said"] == [{"n": 1}, {"n": 2}]
    assert ended.result["file"] == str(upload.pk)


def test_an_answers_file_is_the_jobs_from_then_on(alice: User, asked: Job) -> None:
    upload = file_of(alice)
    lifecycle.answer(asked, "upload", {"file": str(upload.pk)}, alice)
    upload.refresh_from_db()
    assert (upload.job_id, upload.expires_at) == (asked.pk, None)
    said = asked.events.filter(kind="answered").order_by("version").values_list("message", flat=True)
    assert list(said) == ["Approved by alice", "Approved by alice", "File sent by alice"]
    with pytest.raises(Problem, match="not finished"):
        uploads.delete(upload)


@pytest.mark.parametrize(
    ("whose", "told"),
    [
        ("none", "This field is required."),
        ("nonsense", "Not found."),
        ("bob", "Not found."),
        ("taken", "This file is no longer available."),
        ("over", "This file is no longer available."),
    ],
)
def test_a_file_that_is_not_to_give_is_refused(
    alice: User, bob: User, asked: Job, whose: str, told: str
) -> None:
    upload = file_of(bob if whose == "bob" else alice)
    if whose == "taken":
        Upload.objects.update(job=asked, expires_at=None)
    if whose == "over":
        Upload.objects.update(expires_at=timezone.now())
    data = {"none": {}, "nonsense": {"file": "../x"}}.get(whose, {"file": str(upload.pk)})
    with pytest.raises(Refused) as caught:
        lifecycle.answer(asked, "upload", data, alice)
    assert caught.value.code == "validation_failed"
    assert [(one["field"], one["message"]) for one in caught.value.errors] == [("data.file", told)]
    assert Job.objects.get(pk=asked.pk).state == State.WAITING


def test_a_file_of_the_wrong_type_is_refused(
    alice: User, asked: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Curious, "file_types", {file_types.PDF}, raising=False)
    with pytest.raises(Problem) as caught:
        lifecycle.answer(asked, "upload", {"file": str(file_of(alice).pk)}, alice)
    assert caught.value.code == "file_type"
    assert Job.objects.get(pk=asked.pk).state == State.WAITING


def test_an_answer_that_is_too_large_leaves_nothing(alice: User, asked: Job) -> None:
    upload = file_of(alice)
    with pytest.raises(Refused) as caught:
        lifecycle.answer(asked, "upload", {"file": str(upload.pk), "note": "x" * 65_536}, alice)
    assert caught.value.errors[0]["field"] == "data"
    assert "at most 64 KB" in caught.value.errors[0]["message"]
    job = Job.objects.get(pk=asked.pk)
    assert (job.state, job.memo, Upload.objects.get().job_id) == (State.WAITING, asked.memo, None)


def test_no_file_is_needed_to_say_no(alice: User, asked: Job) -> None:
    assert lifecycle.answer(asked, "reject", {"reason": "no"}, alice).state == State.CANCELLED


def test_a_file_that_no_job_takes_leaves_nothing(alice: User, asked: Job) -> None:
    upload = file_of(alice)
    with uploads.given_to_a_job(upload):  # a no needs none
        lifecycle.answer(asked, "reject", {"reason": "no", "file": str(upload.pk)}, alice)
    refused = file_of(alice)
    with pytest.raises(Refused), uploads.given_to_a_job(refused):
        lifecycle.answer(asked, "upload", {"file": str(refused.pk)}, alice)
    assert not Upload.objects.exists()
    assert not any(default_storage.exists(one.path) for one in (upload, refused))


def test_a_file_that_a_job_took_stays_whatever_goes_wrong_afterwards(alice: User, asked: Job) -> None:
    upload = file_of(alice)
    with pytest.raises(ConnectionError), uploads.given_to_a_job(upload):
        resume_inline(lifecycle.answer(asked, "upload", {"file": str(upload.pk)}, alice))
        raise ConnectionError
    assert Job.objects.get(pk=asked.pk).state == State.FAILED  # and a retry reads it again
    assert uploads.open_upload(Upload.objects.get(job=asked)).read() == b"a,b\n1,2\n"
