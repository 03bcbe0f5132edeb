"""The OpenAPI document, and the API against it."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ninja import Schema

from config.api import api
from ingestion import lifecycle, tokens
from tests.api.clients import ApiClient, assert_problem

EXAMPLES = 20  # of one operation in the normal suite

# A valid body may still name a file or a job that is not there, or an end that has come.
# An event stream never ends: its first event says whether the rest is as documented.
CONFIG = """
max-stream-events = 1

[checks]
positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "415", "422", "304"]
"""


@pytest.mark.django_db
def test_the_documentation_is_for_signed_in_users(as_alice: ApiClient, anon: ApiClient) -> None:
    for path in ("/openapi.json", "/docs"):
        assert as_alice.read(path, headers={"Accept": "text/html"}).status_code == 200
        assert_problem(anon.read(path), 401, "auth_required")
        assert_problem(as_alice.send(path, {}), 405, "method_not_allowed")


@pytest.mark.django_db
def test_every_source_has_its_own_shape(as_alice: ApiClient) -> None:
    document = as_alice.read("/openapi.json").json()
    start = document["paths"]["/api/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert start["discriminator"]["propertyName"] == "source"
    assert {"ping", "shelves", "door"} <= set(start["discriminator"]["mapping"])
    assert document["components"]["schemas"]["ShelvesParams"]["properties"]["n"]["maximum"] == 5000
    for operations in document["paths"].values():
        for operation in operations.values():
            assert {"4XX", "5XX"} <= set(operation["responses"])
            assert operation["security"]


def fuzz(address: str, user: Any, folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """Ask an address everything that its own description allows, and much that it does not."""
    _, token = tokens.create(user, "schemathesis", scopes=tokens.SCOPES)
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    program = Path(sys.executable).with_name("schemathesis")
    return subprocess.run(
        [
            str(program),
            f"--config-file={config}",
            "run",
            f"{address}/api/openapi.json",
            f"--header=Authorization: Bearer {token}",
            "--checks=all",
            "--phases=examples,coverage,fuzzing",
            f"--max-examples={EXAMPLES}",
            "--seed=1",
            "--continue-on-failure",
            "--request-timeout=70",
            *more,
        ],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=600,
    )


@pytest.mark.django_db(transaction=True)
def test_the_api_is_as_documented(live: str, alice: Any, tmp_path: Path) -> None:
    lifecycle.create("ping", {}, owner=alice)
    run = fuzz(live, alice, tmp_path)
    assert run.returncode == 0, re.sub(r"\n{3,}", "\n\n", run.stdout[-20_000:])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("live", [{"HEADWAY_TEST_WITHOUT": "cursor_check"}], indirect=True)
def test_without_an_answer_for_it_an_input_that_breaks_a_view_is_found(
    live: str, alice: Any, tmp_path: Path
) -> None:
    run = fuzz(live, alice, tmp_path, "--include-path=/api/jobs", "--include-method=GET", "--max-failures=1")
    assert run.returncode == 1 and "[500] Internal Server Error" in run.stdout, run.stdout[-5000:]


def test_no_two_shapes_have_one_name() -> None:
    """The later one would stand in the documentation for both."""
    named = api.get_openapi_schema()["components"]["schemas"]
    seen = Counter(one.__name__ for one in _below(Schema) if one.__name__ in named)
    assert {name: n for name, n in seen.items() if n > 1} == {}


def _below(shape: type) -> set[type]:
    return {one for direct in shape.__subclasses__() for one in (direct, *_below(direct))}
