"""One shape of errors, wherever they come from; methods, formats, limits."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import override_settings
from django.urls import URLPattern, URLResolver, get_resolver

from config import problems, rates
from ingestion import access
from ingestion.models import Job
from tests.api.clients import ApiClient, assert_problem, client_of

pytestmark = pytest.mark.django_db


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(user: Any) -> Any:
        raise error

    monkeypatch.setattr(access, "visible_jobs", broken)


def test_nobody_is_told_to_sign_in(anon: ApiClient) -> None:
    """API52."""
    assert_problem(anon.send("/jobs", {"source": "ping"}), 401, "auth_required")
    assert_problem(anon.read("/jobs"), 401, "auth_required")
    assert not Job.objects.exists()


def test_an_unknown_address_is_not_found(anon: ApiClient, as_alice: ApiClient) -> None:
    for client in (anon, as_alice):
        for path in ("/", "/nope", "/jobs/x/y/z", "/jobs/"):
            assert_problem(client.read(path), 404, "not_found")


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "LINK"])
def test_strange_methods_are_refused_everywhere(as_alice: ApiClient, method: str) -> None:
    """SEC24."""
    for path in ("/api/jobs", "/api/nope"):
        answer = as_alice.generic(method, path)
        assert_problem(answer, 405, "method_not_allowed")
        assert "GET" in answer["Allow"]


def test_a_method_cannot_be_smuggled(as_alice: ApiClient, ended: Job) -> None:
    """SEC24."""
    headers = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE"}
    assert as_alice.read(f"/jobs/{ended.pk}", headers=headers).status_code == 200
    assert_problem(as_alice.read(f"/jobs/{ended.pk}?_method=DELETE"), 400, "unknown_filter")
    assert Job.objects.filter(pk=ended.pk).exists()


@pytest.mark.parametrize(
    "accept", ["application/xml", "image/*", "text/html", "application/json; q*=nosuch''1"]
)
def test_another_format_is_refused(as_alice: ApiClient, accept: str) -> None:
    """API65."""
    assert_problem(as_alice.read("/jobs", headers={"Accept": accept}), 406, "not_acceptable")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/*;q=0.1", "text/html, */*;q=0.8"])
def test_json_is_what_most_accept(as_alice: ApiClient, accept: str) -> None:
    assert as_alice.read("/jobs", headers={"Accept": accept}).status_code == 200


def test_other_sites_get_no_leave(as_alice: ApiClient) -> None:
    """SEC75, API89."""
    evil = {"Origin": "https://evil.test"}
    plain = as_alice.options("/api/jobs", headers=evil)
    preflight = as_alice.options("/api/jobs", headers={**evil, "Access-Control-Request-Method": "POST"})
    read = as_alice.read("/jobs", headers=evil)

    assert (plain.status_code, plain.content) == (204, b"")
    assert {"GET", "POST"} <= set(plain["Allow"].split(", "))
    assert_problem(preflight, 403, "permission_denied")
    for answer in (plain, preflight, read):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.seed("SEC71")
def test_a_fault_of_ours_tells_nothing(as_alice: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEC71."""
    fail_with(monkeypatch, RuntimeError("SELECT secret FROM /etc/passwd"))
    answer = as_alice.read("/jobs")
    assert_problem(answer, 500, "internal_error")
    assert b"secret" not in answer.content and b"Traceback" not in answer.content


def test_without_a_database_the_answer_is_try_again(
    as_alice: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """API91."""
    fail_with(monkeypatch, OperationalError("connection refused at 10.0.0.7"))
    answer = as_alice.read("/jobs")
    assert_problem(answer, 503, "unavailable")
    assert answer["Retry-After"] == "5"
    assert b"10.0.0.7" not in answer.content


def test_a_request_id_is_ours(as_alice: ApiClient) -> None:
    answers = [as_alice.read("/jobs", headers={"X-Request-Id": "mine"}) for _ in range(2)]
    first, second = (answer["X-Request-Id"] for answer in answers)
    assert "mine" not in (first, second) and first != second


@pytest.mark.seed("SEC42")
def test_a_wrong_host_is_refused(as_alice: ApiClient) -> None:
    """SEC42."""
    assert_problem(as_alice.read("/jobs", headers={"Host": "evil.test"}), 400, "bad_request")


@pytest.mark.parametrize("code", sorted(problems.PROBLEMS))
def test_every_text_of_the_catalogue_can_be_made(code: str) -> None:
    problem = problems.Problem(code)
    assert 400 <= problem.status < 600
    assert "{" not in problem.detail and problem.detail.endswith(".")
    assert problem.status in problems._TITLES


# ---- CSRF -------------------------------------------------------------------------------------------------

SAMPLES = {
    "job_id": "01890000-0000-7000-8000-000000000000",
    "upload_id": "01890000-0000-7000-8000-000000000000",
}
WITHOUT_SESSION = {"csp-report/", "signin/"}  # a browser's report; the form that begins a session


def addresses(patterns: Any = None, prefix: str = "") -> list[str]:
    """Return every address of the site, with samples for its parts."""
    found = []
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += addresses(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            found.append(_filled(route))
    return found


def _filled(route: str) -> str:
    samples = {"uuid": SAMPLES["job_id"], "slug": "ping", "int": "1", "str": "x", "path": "x"}
    text = ""
    while "<" in route:
        before, _, rest = route.partition("<")
        part, _, route = rest.partition(">")
        converter, _, name = part.rpartition(":")
        text += before + SAMPLES.get(name, samples.get(converter or "str", "x"))
    return text + route


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_is_changed_without_a_csrf_token(staff: Any, method: str) -> None:
    """SEC22, API51: with a session and no token, every address refuses or does not know the method."""
    staff.is_superuser = True
    staff.save(update_fields=["is_superuser"])
    client = client_of(staff, enforce_csrf_checks=True)
    refused = 0
    for route in addresses():
        if "^" in route or "(" in route or route in WITHOUT_SESSION:
            continue
        answer = client.generic(method, f"/{route}", b"", "application/x-www-form-urlencoded")
        assert answer.status_code in (403, 404, 405), (method, route, answer.status_code)
        if answer.status_code == 403:
            refused += 1
            if route.startswith("api/"):
                assert_problem(answer, 403, "csrf_failed")
    assert refused >= (10 if method == "POST" else 1)


def test_with_the_csrf_token_a_session_may_change(alice: Any) -> None:
    client = client_of(alice, enforce_csrf_checks=True)
    from django.middleware.csrf import _get_new_csrf_string

    secret = _get_new_csrf_string()
    client.cookies["csrftoken"] = secret
    assert client.send("/jobs", {"source": "ping"}, headers={"X-CSRFToken": secret}).status_code == 201


# ---- rates ------------------------------------------------------------------------------------------------


@pytest.mark.seed("SEC62")
def test_nobody_asks_120_times_a_minute(anon: ApiClient, as_alice: ApiClient) -> None:
    """SEC62. The window slides while we ask: two more a second may be answered than the 120."""
    began = time.monotonic()
    answers = [anon.read("/jobs") for _ in range(120)]
    assert {answer.status_code for answer in answers} == {401}
    while (answer := anon.read("/jobs")).status_code == 401:
        answers.append(answer)

    assert len(answers) <= 120 + 2 * (time.monotonic() - began) + 1
    assert_problem(answer, 429, "rate_limited")
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert as_alice.read("/jobs").status_code == 200


@pytest.fixture(params=["redis", "process"])
def counted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count in Redis, and in this process while Redis is away."""
    if request.param == "process":
        monkeypatch.setattr(rates, "_skip_until", float("inf"))


def test_users_have_their_own_limits(
    counted: None, as_alice: ApiClient, as_bob: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "READS", type(rates.READS)(3, namespace="read-test"))
    monkeypatch.setattr(rates, "WRITES", type(rates.WRITES)(1, namespace="write-test"))

    assert [as_alice.read("/sources").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert as_alice.send("/jobs", {"source": "ping"}).status_code == 201
    assert_problem(as_alice.send("/jobs", {"source": "ping"}), 429, "rate_limited")
    assert as_bob.read("/sources").status_code == 200


def test_limits_hold_without_redis(as_alice: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    rates._shared.cache_clear()
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        assert as_alice.read("/jobs").status_code == 200
        assert rates._skip_until > 0
    rates._shared.cache_clear()
    monkeypatch.setattr(rates, "_skip_until", 0.0)


Producer = Callable[[ApiClient, ApiClient, Job], Any]
PRODUCERS: dict[int, Producer] = {
    400: lambda client, anon, job: client.send("/jobs", b"{"),
    401: lambda client, anon, job: anon.read("/jobs"),
    404: lambda client, anon, job: client.read("/jobs/x"),
    405: lambda client, anon, job: client.put("/api/jobs"),
    406: lambda client, anon, job: client.read("/jobs", headers={"Accept": "image/png"}),
    409: lambda client, anon, job: client.delete(f"/api/jobs/{job.pk}"),
    413: lambda client, anon, job: client.send("/jobs", b" " * 1_100_000),
    415: lambda client, anon, job: client.send("/jobs", b"x", content_type="text/plain"),
}


@pytest.mark.parametrize("status", PRODUCERS)
def test_all_errors_have_one_shape(as_alice: ApiClient, anon: ApiClient, job: Job, status: int) -> None:
    answer = PRODUCERS[status](as_alice, anon, job)
    code = json.loads(answer.content)["code"]
    assert_problem(answer, status, code)
    assert problems.PROBLEMS[code][0] == status
