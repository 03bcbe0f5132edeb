"""What a worker and a keeper load: each start and each work-horse pays for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import engine

ROOT = Path(__file__).resolve().parent.parent.parent
OF_THE_SITE = {"config.api", "ingestion.api", "ninja", "uvicorn", "ingestion.admin.base"}

SETTLED = """
import sys
import django
django.setup()
from django.urls import reverse
from ingestion import processes
processes.settle()
before = set(sys.modules)
reverse("companies:company", args=[1])
reverse("imports:units")
print(*sorted(set(sys.modules) - before))
"""

SAYS_ITS_ROLE = """
import atexit, os, runpy, sys
atexit.register(lambda: print("role", os.environ.get("HEADWAY_ROLE")))
sys.argv = ["manage.py", "COMMAND", "--help"]
runpy.run_path("manage.py", run_name="__main__")
"""


def python(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a Python that nobody told a role."""
    env = engine.environment(**more)
    if not more:
        env.pop("HEADWAY_ROLE", None)
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", ["worker", "keeper"])
def test_a_worker_and_a_keeper_load_nothing_that_only_pages_and_the_api_need(command: str) -> None:
    """By the command alone: who starts one by hand names no role."""
    done = python("-X", "importtime", "manage.py", command, "--help")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ingestion.lifecycle" in loaded, done.stderr[-2000:]
    assert not loaded & OF_THE_SITE


@pytest.mark.django_db(transaction=True)
def test_a_settled_worker_has_loaded_the_pages_that_results_lead_to() -> None:
    """A work-horse would load them for its one job."""
    done = python("-c", SETTLED, HEADWAY_ROLE="worker", DJANGO_SETTINGS_MODULE="config.settings")
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("command", "role"), [("serve", "web"), ("worker", "worker"), ("keeper", "keeper"), ("jobs", "None")]
)
def test_a_process_that_is_started_by_hand_has_the_role_of_its_command(command: str, role: str) -> None:
    """So its sessions wait and stand idle no longer than those of a deployment."""
    done = python("-c", SAYS_ITS_ROLE.replace("COMMAND", command))
    assert done.stdout.splitlines()[-1] == f"role {role}", done.stderr
