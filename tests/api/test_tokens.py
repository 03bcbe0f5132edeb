"""Bearer tokens and the command that makes them."""

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from ingestion import tokens
from ingestion.models import ApiToken, Job
from tests.api.clients import ApiClient, assert_problem

pytestmark = pytest.mark.django_db
Program = Callable[..., ApiClient]


def bearer(token: str) -> ApiClient:
    return ApiClient(headers={"Authorization": f"Bearer {token}"})


def test_a_token_needs_neither_session_nor_csrf(program: Program, alice: Any) -> None:
    answer = program().send("/jobs", {"source": "ping"})
    assert answer.status_code == 201
    assert Job.objects.get().owner == alice


@pytest.mark.seed("SEC59")
def test_only_the_hash_is_stored(alice: Any) -> None:
    """SEC59."""
    row, token = tokens.create(alice, "mine")
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(t)::text FROM ingestion_apitoken t")
        stored = cursor.fetchone()[0]

    assert token.startswith("hw_") and len(token) == 46
    assert token not in stored and token[3:] not in stored
    assert len(row.hash) == 64


@pytest.mark.parametrize(
    "header", ["Bearer ", "Bearer nope", "bearer", "Basic YTpi", "Bearer " + "x" * 5000, "x"]
)
def test_a_bad_token_is_nobody(program: Program, alice: Any, header: str) -> None:
    answer = ApiClient(headers={"Authorization": header}).read("/jobs")
    assert_problem(answer, 401, "auth_required")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_bad_token_is_not_saved_by_a_session(as_alice: ApiClient) -> None:
    assert_problem(as_alice.read("/jobs", headers={"Authorization": "Bearer nope"}), 401, "auth_required")


def test_a_revoked_or_outdated_token_is_nobody(alice: Any) -> None:
    row, token = tokens.create(alice, "t")
    assert bearer(token).read("/jobs").status_code == 200
    tokens.revoke([row])
    assert_problem(bearer(token).read("/jobs"), 401, "auth_required")

    _, old = tokens.create(alice, "t", expires_at=timezone.now() - timedelta(seconds=1))
    _, new = tokens.create(alice, "t", expires_at=timezone.now() + timedelta(hours=1))
    assert_problem(bearer(old).read("/jobs"), 401, "auth_required")
    assert bearer(new).read("/jobs").status_code == 200


def test_an_inactive_users_token_is_nobody(alice: Any) -> None:
    _, token = tokens.create(alice, "t")
    type(alice).objects.update(is_active=False)
    assert_problem(bearer(token).read("/jobs"), 401, "auth_required")


def test_scopes_hold(program: Program, job: Job) -> None:
    reader, writer = program("read"), program("write")

    assert reader.read(f"/jobs/{job.pk}").status_code == 200
    assert_problem(reader.send("/jobs", {"source": "ping"}), 403, "permission_denied")
    assert_problem(writer.read("/jobs"), 403, "permission_denied")
    assert writer.send(f"/jobs/{job.pk}/cancel").status_code == 202


def test_acting_on_others_needs_operate(program: Program, staff: Any, job: Job) -> None:
    assert_problem(
        program("read", "write", user=staff).send(f"/jobs/{job.pk}/cancel"), 403, "permission_denied"
    )
    assert program("write", "operate", user=staff).send(f"/jobs/{job.pk}/cancel").status_code == 202


def test_operate_gives_nobody_more_than_they_may(program: Program, bob: Any, job: Job) -> None:
    assert_problem(program("write", "operate", user=bob).send(f"/jobs/{job.pk}/cancel"), 404, "not_found")


@pytest.mark.seed("SEC60")
@pytest.mark.parametrize("name", ["token", "access_token"])
def test_a_token_in_the_address_is_refused(
    as_alice: ApiClient, anon: ApiClient, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """SEC60."""
    with caplog.at_level(logging.DEBUG):
        for client in (as_alice, anon):
            answer = client.read(f"/jobs?{name}=hw_canary")
            assert_problem(answer, 400, "token_in_url")
            assert b"hw_canary" not in answer.content
    assert "hw_canary" not in caplog.text


def test_a_use_is_written_once_a_minute(alice: Any) -> None:
    row, token = tokens.create(alice, "t")
    bearer(token).read("/jobs")
    row.refresh_from_db()
    first = row.last_used_at
    bearer(token).read("/jobs")
    row.refresh_from_db()
    assert first is not None and row.last_used_at == first

    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    bearer(token).read("/jobs")
    row.refresh_from_db()
    assert row.last_used_at >= first


def test_the_command_prints_the_token_alone(alice: Any, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("token", "create", "alice", "--scopes", "read", "--expires", "30d")
    token = capsys.readouterr().out.removesuffix("\n")

    row = tokens.find(token)
    assert row is not None
    assert (row.user, row.scopes) == (alice, ["read"])
    assert row.expires_at is not None and row.expires_at > timezone.now() + timedelta(days=29)


def test_the_command_lists_and_revokes(alice: Any, capsys: pytest.CaptureFixture[str]) -> None:
    row, token = tokens.create(alice, "t")
    call_command("token", "list", "--json")
    (told,) = json.loads(capsys.readouterr().out)
    call_command("token", "revoke", str(row.pk))

    assert (told["id"], told["user"], told["scopes"]) == (row.pk, "alice", ["read", "write"])
    assert tokens.find(token) is None


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["create", "nobody"], 1),
        (["create", "alice", "--scopes", "all"], 2),
        (["create", "alice", "--scopes", ""], 2),
        (["create", "alice", "--expires", "soon"], 2),
        (["create", "alice", "--expires", "0d"], 2),
        (["revoke", "999999"], 1),
    ],
)
def test_the_command_refuses_in_words(alice: Any, arguments: list[str], code: int) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("token", *arguments)
    assert refused.value.returncode == code
    assert not ApiToken.objects.exists()
