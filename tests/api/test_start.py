"""POST /api/jobs."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from ingestion import admission, lifecycle
from ingestion.models import IdempotencyKey, Job
from ingestion.testing import run_inline
from tests.api.clients import ApiClient, assert_problem
from tests.demo.source import Shelves

pytestmark = pytest.mark.django_db


def test_a_job_is_started(as_alice: ApiClient, alice: Any) -> None:
    answer = as_alice.send("/jobs", {"source": "shelves", "params": {"name": "a", "n": 3}})

    assert answer.status_code == 201
    told = answer.json()
    job = Job.objects.get(pk=told["id"])
    assert (job.owner, job.params["n"], job.state) == (alice, 3, "pending")
    assert (told["created"], told["mine"], told["can"], told["display"]) == (True, True, ["cancel"], "queued")


def test_a_byte_order_mark_is_dropped(as_alice: ApiClient) -> None:
    """API17."""
    assert as_alice.send("/jobs", b"\xef\xbb\xbf" + b'{"source": "ping"}').status_code == 201


def test_the_same_work_is_joined(as_alice: ApiClient) -> None:
    """API45."""
    body = {"source": "shelves", "params": {"name": "once"}}
    first = as_alice.send("/jobs", body)
    second = as_alice.send("/jobs", body)

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == first.json()["id"]
    assert second.json()["created"] is False


def test_two_people_get_two_jobs(as_alice: ApiClient, as_bob: ApiClient) -> None:
    body = {"source": "shelves", "params": {"name": "same"}}
    assert as_alice.send("/jobs", body).json()["id"] != as_bob.send("/jobs", body).json()["id"]


DEEP = b"[" * 100_000

MALFORMED = [
    ("API1", b"", "invalid_json"),
    ("API5", b"null", "body_not_object"),
    ("API6", b'"text"', "body_not_object"),
    ("API7", b'{"source": "ping", "params": {"n": NaN}}', "invalid_json"),
    ("API7b", b'{"source": "ping", "params": {"n": -Infinity}}', "invalid_json"),
    ("API8", b'{"source": "shelves", "params": {"n": 1e400}}', "invalid_json"),
    ("API9", b'{"source": "shelves", "params": {"n": ' + b"9" * 5000 + b"}}", "invalid_json"),
    ("API10", DEEP, "invalid_json"),
    ("deep", b'{"source": ' + b"[" * 40 + b"]" * 40 + b"}", "too_deep"),
    ("API12", b'{"source": "ping", "source": "flash"}', "duplicate_key"),
    ("API14", b'{"source": "\xff"}', "invalid_json"),
    ("API15", b'{"source": "shelves", "params": {"name": "\\ud800"}}', "bad_character"),
    ("API16", b'{"source": "shelves", "params": {"name": "\\u0000"}}', "bad_character"),
    ("API16b", b'{"source\\u0000": "ping"}', "bad_character"),
    ("trailing", b'{"source": "ping"} x', "invalid_json"),
]


@pytest.mark.parametrize(("row", "body", "code"), MALFORMED, ids=[row[0] for row in MALFORMED])
def test_a_malformed_body_is_refused(as_alice: ApiClient, row: str, body: bytes, code: str) -> None:
    assert_problem(as_alice.send("/jobs", body), 400, code)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("params", "field", "position"),
    [
        ({"name": "a\nb"}, '"params.name"', 2),
        ({"name": " a\tb"}, '"params.name"', 3),
        ({"name": "ab\u202ec"}, '"params.name"', 3),
        ({"name": "a\x1b[31m"}, '"params.name"', 2),
        ({"fail": ["a", "b\u2066"]}, '"params.fail" entry 2', 2),
    ],
    ids=ascii,
)
def test_what_would_steer_a_line_is_no_text(
    as_alice: ApiClient, params: dict[str, Any], field: str, position: int
) -> None:
    """API30."""
    problem = assert_problem(
        as_alice.send("/jobs", {"source": "shelves", "params": params}), 400, "bad_character"
    )
    said = f"{field} contains a character that is not allowed (position {position})."
    assert problem["detail"] == said
    assert not Job.objects.exists()


def test_white_space_around_a_text_is_taken_off(as_alice: ApiClient) -> None:
    answer = as_alice.send("/jobs", {"source": "shelves", "params": {"name": "\t ab\u200dc \n"}})
    assert Job.objects.get(pk=answer.json()["id"]).params["name"] == "ab\u200dc"


def test_errors_name_what_is_wrong(as_alice: ApiClient) -> None:
    duplicate = assert_problem(as_alice.send("/jobs", b'{"source": 1, "source": 2}'), 400, "duplicate_key")
    zero = assert_problem(as_alice.send("/jobs", b'{"source": "x\\u0000"}'), 400, "bad_character")

    assert duplicate["detail"] == '"source" appears twice.'
    assert zero["detail"] == '"source" contains a character that is not allowed (position 2).'


def test_a_large_body_is_refused(as_alice: ApiClient) -> None:
    """API18."""
    body = b'{"source": "' + b"x" * 1_150_000 + b'"}'
    assert assert_problem(as_alice.send("/jobs", body), 413, "body_too_large")["detail"].endswith(
        "1 MB limit."
    )


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
    ],
)
def test_only_json_is_read(as_alice: ApiClient, content_type: str) -> None:
    """API19, API20, API21."""
    answer = as_alice.send("/jobs", b'{"source": "ping"}', content_type=content_type)
    assert_problem(answer, 415, "unsupported_media_type")


PARENTS = ["01890000-0000-7000-8000-000000000000"] * 51

INVALID = [
    ("API24", {"params": {}}, "source", "This field is required."),
    ("API25", {"source": "Ping"}, "source", "Must be one of: "),
    ("API25b", {"source": "ping "}, "source", "Must be one of: "),
    ("API26", {"source": 7}, "source", "Must be text."),
    ("params", {"source": "shelves", "params": []}, "params", "Must be an object."),
    (
        "API28",
        {"source": "shelves", "params": {"name": "x" * 10_001}},
        "params.name",
        "At most 50 characters.",
    ),
    ("API34", {"source": "shelves", "params": {"n": -1}}, "params.n", "Must be at least 0."),
    ("API34b", {"source": "shelves", "params": {"n": 2.5}}, "params.n", "Must be a whole number."),
    ("API34c", {"source": "shelves", "params": {"n": True}}, "params.n", "Must be a whole number."),
    ("API34d", {"source": "shelves", "params": {"n": "10"}}, "params.n", "Must be a whole number."),
    ("API29", {"source": "door", "params": {"name": " \u200b\ufeff "}}, "params.name", "May not be empty."),
    (
        "API32",
        {"source": "imports", "params": {"columns": ["a = name"] * 501}},
        "params.columns",
        "At most 200.",
    ),
    ("API33", {"source": "shelves", "params": {"fail": [1, None, {}]}}, "params.fail.0", "Must be text."),
    ("API33b", {"source": "shelves", "params": {"fail": ["a", None]}}, "params.fail.1", "Must be text."),
    ("API35", {"source": "shelves", "params": {"n": 2**63}}, "params.n", "Must be at most 5,000."),
    ("API36", {"source": "ping", "run_after": "2026-13-45"}, "run_after", "Not a date and time."),
    ("API37", {"source": "ping", "run_after": "2026-11-21T10:00:00"}, "run_after", "Add a time zone."),
    ("number", {"source": "ping", "run_after": 1763719200}, "run_after", "Not a date and time."),
    ("API42", {"source": "ping", "depends_on": PARENTS}, "depends_on", "At most 50."),
    ("parent", {"source": "ping", "depends_on": PARENTS[:1]}, "depends_on.0", "Not found."),
    ("id", {"source": "ping", "depends_on": ["{x}"]}, "depends_on.0", "Not an id."),
    ("SEC13", {"source": "ping", "priority": 999}, "priority", "Must be one of: high, normal, low."),
]


@pytest.mark.parametrize(("row", "body", "field", "message"), INVALID, ids=[row[0] for row in INVALID])
def test_an_invalid_field_is_marked(
    as_alice: ApiClient, row: str, body: dict[str, Any], field: str, message: str
) -> None:
    problem = assert_problem(as_alice.send("/jobs", body), 400, "validation_failed", field=field)

    (error,) = [error for error in problem["errors"] if error["field"] == field]
    assert error["message"].startswith(message)
    assert not Job.objects.exists()


@pytest.mark.seed("SEC13")
@pytest.mark.parametrize(
    "name", ["foo", "owner", "state", "lease_token", "version", "retry_of", "unique_key"]
)
def test_an_unknown_field_is_refused(as_alice: ApiClient, name: str) -> None:
    """API27, SEC13."""
    problem = assert_problem(as_alice.send("/jobs", {"source": "ping", name: 1}), 400, "unknown_field")

    assert problem["detail"] == f"Unknown field: {name}."
    assert not Job.objects.exists()


def test_the_name_of_an_unknown_field_comes_back_without_what_steers(as_alice: ApiClient) -> None:
    sent = {"source": "ping", "no\u202esuch": 1}
    problem = assert_problem(as_alice.send("/jobs", sent), 400, "unknown_field")
    assert problem["detail"] == "Unknown field: no\ufffdsuch."
    assert [error["field"] for error in problem["errors"]] == ["no\ufffdsuch"]
    problem = assert_problem(as_alice.read("/jobs?no%E2%80%AEsuch=1"), 400, "unknown_filter")
    assert problem["detail"] == "Unknown field: no\ufffdsuch."


def test_an_unknown_param_is_refused(as_alice: ApiClient) -> None:
    problem = assert_problem(
        as_alice.send("/jobs", {"source": "shelves", "params": {"foo": 1}}), 400, "unknown_field"
    )
    assert problem["detail"] == "Unknown field: params.foo."


def test_a_job_may_start_later_and_first(as_alice: ApiClient) -> None:
    body = {"source": "ping", "priority": "high", "run_after": "2099-01-01T00:00:00+02:00"}
    told = as_alice.send("/jobs", body).json()

    assert (told["display"], told["run_after"]) == ("scheduled", "2098-12-31T22:00:00.000Z")
    assert Job.objects.get(pk=told["id"]).priority == 0


def test_a_job_may_need_another(as_alice: ApiClient, job: Job) -> None:
    told = as_alice.send("/jobs", {"source": "ping", "depends_on": [str(job.pk)]}).json()

    assert (told["display"], told["pending_reason"]) == ("blocked", "dependency")
    assert list(Job.objects.get(pk=told["id"]).needs.all()) == [job]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("strict", "state"), [(False, "pending"), (True, "cancelled")])
def test_a_partial_job_is_well_enough_unless_strict(
    as_alice: ApiClient, alice: Any, strict: bool, state: str
) -> None:
    parent = run_inline("shelves", alice, name="half", n=4, fail=["k0001"])
    assert parent.state == "partial"
    body = {"source": "ping", "depends_on": [str(parent.pk)], "strict": strict}
    assert as_alice.send("/jobs", body).json()["state"] == state


def test_a_job_cannot_need_itself(as_alice: ApiClient, job: Job) -> None:
    """Asking for the work of an open job joins it; waiting for that job would never end."""
    body = {"source": "shelves", "params": {"name": "hers"}, "depends_on": [str(job.pk)]}
    assert_problem(as_alice.send("/jobs", body), 400, "dependency_cycle")


def test_jobs_that_wait_for_each_other_are_so_deep_at_most(as_alice: ApiClient, job: Job) -> None:
    last = str(job.pk)
    for _ in range(10):
        last = as_alice.send("/jobs", {"source": "ping", "depends_on": [last]}).json()["id"]
    refused = as_alice.send("/jobs", {"source": "ping", "depends_on": [last]})
    problem = assert_problem(refused, 400, "validation_failed", field="depends_on")
    assert problem["errors"][0]["message"] == "At most 10 jobs deep."


@pytest.mark.seed("SEC11")
def test_somebody_elses_job_cannot_be_needed(as_bob: ApiClient, job: Job) -> None:
    """SEC11: the same answer as for no job at all."""
    foreign = as_bob.send("/jobs", {"source": "ping", "depends_on": [str(job.pk)]})
    missing = as_bob.send("/jobs", {"source": "ping", "depends_on": PARENTS[:1]})

    assert_problem(foreign, 400, "validation_failed", field="depends_on.0")
    assert foreign.json()["errors"] == missing.json()["errors"]


@pytest.mark.seed("API49")
def test_the_queue_of_a_user_has_an_end(as_alice: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_QUEUED_PER_USER", 1)
    as_alice.send("/jobs", {"source": "ping"})

    refused = as_alice.send("/jobs", {"source": "ping"})

    problem = assert_problem(refused, 429, "quota_exceeded")
    assert problem["detail"] == "You already have 1 queued jobs, which is the limit."
    assert int(refused["Retry-After"]) > 0


def test_the_queue_has_an_end(as_alice: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_QUEUED", 0)
    refused = as_alice.send("/jobs", {"source": "ping"})
    assert_problem(refused, 503, "queue_full")
    assert "Retry-After" in refused


def test_what_a_source_refuses_is_told(as_alice: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, user: Any, p: Any) -> None:
        raise lifecycle.SourceError("no_shelf", "There is no shelf for you.")

    monkeypatch.setattr(Shelves, "can_start", refuse)
    problem = assert_problem(as_alice.send("/jobs", {"source": "shelves"}), 400, "no_shelf")
    assert problem["detail"] == "There is no shelf for you."


# ---- Idempotency-Key --------------------------------------------------------------------------------------


def _keyed(client: ApiClient, key: str, body: Any = None, path: str = "/jobs") -> Any:
    return client.send(path, body or {"source": "ping"}, headers={"Idempotency-Key": key})


def test_a_key_makes_a_request_happen_once(as_alice: ApiClient) -> None:
    first, second = _keyed(as_alice, "k"), _keyed(as_alice, "k")

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    assert Job.objects.count() == 1


def test_a_key_means_one_request(as_alice: ApiClient) -> None:
    """API47."""
    _keyed(as_alice, "k")
    assert_problem(_keyed(as_alice, "k", {"source": "flash"}), 422, "idempotency_mismatch")


@pytest.mark.seed("SEC77")
def test_a_key_is_its_users(as_alice: ApiClient, as_bob: ApiClient) -> None:
    """SEC77."""
    assert _keyed(as_alice, "k").json()["id"] != _keyed(as_bob, "k").json()["id"]


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "ü"], ids=["empty", "long", "tab", "umlaut"])
def test_a_bad_key_is_refused(as_alice: ApiClient, key: str) -> None:
    """API46."""
    assert_problem(_keyed(as_alice, key), 400, "bad_idempotency_key")


def test_a_refused_request_may_be_sent_again_with_its_key(as_alice: ApiClient) -> None:
    assert_problem(_keyed(as_alice, "k", {"source": "nope"}), 400, "validation_failed")
    assert not IdempotencyKey.objects.exists()
    assert _keyed(as_alice, "k").status_code == 201


def test_a_key_is_forgotten_after_a_day(as_alice: ApiClient) -> None:
    first = _keyed(as_alice, "k")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ingestion_idempotencykey SET created_at = now() - interval '25 hours'")

    assert _keyed(as_alice, "k").json()["id"] != first.json()["id"]


@pytest.mark.django_db(transaction=True)
def test_a_key_in_use_is_told(as_alice: ApiClient, alice: Any) -> None:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(2, hashtext(%s))", [f"{alice.pk}:k"])
            refused = _keyed(as_alice, "k")
    finally:
        other.close()

    assert_problem(refused, 409, "idempotency_in_progress")
    assert not Job.objects.exists()


def test_redis_may_be_away(as_alice: ApiClient, settings: Any) -> None:
    """API92: the row is the queue, Redis only wakes."""
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        assert as_alice.send("/jobs", {"source": "ping"}).status_code == 201


def test_the_answer_is_the_jobs_own_json(as_alice: ApiClient, job: Job) -> None:
    """One serialiser: the API adds only what depends on who asks."""
    from ingestion import serializers

    told = as_alice.read(f"/jobs/{job.pk}").json()
    own = json.loads(json.dumps(serializers.job_data(Job.objects.get(pk=job.pk), [])))
    added = {"created", "owner", "mine", "worker_seen_at", "can", "params"}
    assert {name: value for name, value in told.items() if name not in added} == own
    assert added <= set(told)
