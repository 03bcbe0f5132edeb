"""What a method may do: reading changes nothing, and an address knows its own methods alone."""

import hashlib
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.signals import request_finished
from django.db import close_old_connections, connection
from django.test import Client

from ingestion.models import Job
from realtime import epoch
from tests.api.clients import ApiClient, assert_problem, client_of
from tests.api.test_problems import SAMPLES, addresses

pytestmark = pytest.mark.django_db

# When somebody was last seen, and who is signed in: what reading may note.
NOTED = {"realtime_session": "*", "ingestion_apitoken": "last_used_at", "auth_user": "last_login"}
WAITS = ("wait", "ready", "items.ndjson")  # they sleep on the hub of a loop, which nothing runs here


def contents() -> dict[str, str]:
    """Return a hash of each table's rows, without what reading may note."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            columns = [one.name for one in connection.introspection.get_table_description(cursor, table)]
            kept = [name for name in columns if NOTED.get(table, "") not in ("*", name)]
            if not kept:
                continue
            row = ", ".join(f'"{name}"::text' for name in kept)
            cursor.execute(f"SELECT concat_ws('|', {row}) FROM \"{table}\" ORDER BY 1")
            text = "\n".join(line for (line,) in cursor.fetchall())
            found[table] = hashlib.sha256(text.encode()).hexdigest()
    return found


def routes(job: Job) -> list[str]:
    """Return every address that a sample can be filled into, with a job that exists."""
    plain = [route for route in addresses() if "^" not in route and "(" not in route]
    return sorted(
        {
            "/" + route.replace(SAMPLES["job_id"], str(job.pk))
            for route in plain
            if route.rstrip("/").rpartition("/")[2] not in WAITS
        }
    )


@pytest.mark.seed("SEC23")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_changes_nothing(alice: User, job: Job, method: str) -> None:
    """Every address, by somebody who may do everything."""
    alice.is_staff = alice.is_superuser = True
    alice.save()
    client: Any = client_of(alice)
    epoch.current()  # made once in a deployment's life, by whoever needs it first
    before = contents()
    answered = 0
    for route in routes(job):
        answer = client.generic(method, route)
        if getattr(answer, "streaming", False):
            request_finished.disconnect(close_old_connections)  # as the client does: it is this test's own
            answer.close()
            request_finished.connect(close_old_connections)
        assert answer.status_code != 500, route  # 503 of /readyz is right: no keeper lives here
        answered += answer.status_code < 400
        changed = [table for table, hashed in contents().items() if hashed != before[table]]
        assert not changed, (method, route, changed)
    assert answered > 30


@pytest.mark.seed("SEC23")
def test_the_search_for_changes_finds_one(job: Job) -> None:
    before = contents()
    Job.objects.filter(pk=job.pk).update(message="changed")
    assert [table for table, hashed in contents().items() if hashed != before[table]] == ["ingestion_job"]


@pytest.mark.seed("SEC24")
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_wrong_verb_is_405_and_says_which_are_right(as_alice: ApiClient, job: Job, method: str) -> None:
    wrong = 0
    for path, operations in as_alice.read("/openapi.json").json()["paths"].items():
        if method.lower() in operations:
            continue
        address = path.replace("{job_id}", str(job.pk)).replace("{upload_id}", SAMPLES["upload_id"])
        address = address.replace("{source}", "ping").replace("{kind}", "ping")
        if "{" in address:
            continue
        answer = as_alice.generic(method, address, b"{}", "application/json")
        assert_problem(answer, 405, "method_not_allowed")
        allowed = set(answer["Allow"].split(", "))
        assert {name.upper() for name in operations} <= allowed, (path, allowed)
        assert method not in allowed
        wrong += 1
    assert wrong >= 2


@pytest.mark.seed("SEC14")
def test_the_admins_search_of_names_is_for_staff_alone(alice: User, bob: User) -> None:
    client = Client()
    client.force_login(bob)
    asked = "/admin/autocomplete/?app_label=ingestion&model_name=job&field_name=owner&term=ali"
    answer = client.get(asked)
    assert answer.status_code in (302, 403, 404)
    assert b"alice" not in answer.content
