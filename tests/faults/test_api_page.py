"""The lines of docs/api.md do what the page says, run by a shell and by Python against real processes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from ingestion import lifecycle, tokens
from ingestion.models import Job
from ingestion.sources.imports.models import Unit
from tests.engine import ROOT, Engine, ended

TEXT = (ROOT / "docs" / "api.md").read_text()
PATIENCE = 150.0


def blocks(language: str) -> list[str]:
    """Return the examples of the page in one language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert found
    return [str(one) for one in found]


def test_its_lines_bring_a_file_to_its_end_and_say_what_is_refused(
    engine: Engine, owner: User, tmp_path: Path
) -> None:
    _, port = engine.web()
    engine.keeper()
    engine.worker()
    engine.worker("analytics")
    ended(
        lifecycle.create("ping", {}, owner=owner).job
    )  # the page's lines wait for 30 s, not for a cold worker
    tools = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    token = tokens.create(owner, "a program", scopes=("read", "write"))[1]
    env = {**os.environ, "SITE": f"http://127.0.0.1:{port}", "TOKEN": token, "PATH": tools}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = run("bash", "-euo", "pipefail", "-c", "\n".join(blocks("sh"))).splitlines()

    (waits,) = re.findall(r"^    (waiting - .+)$", TEXT, re.MULTILINE)
    assert said[0] == waits
    assert said[1].startswith("partial - ")
    assert json.loads(said[2])["ready"] is True
    assert said[3].startswith("400 validation_failed [")
    assert sorted(Unit.objects.values_list("tax_ident", flat=True)) == ["100", "102"]
    job = Job.objects.get(source="imports")
    assert run(sys.executable, "-c", blocks("python")[0]).splitlines()[0] == f"{job.pk} partial {job.title}"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\$SITE(/api/[a-z/]+)", TEXT))))
def test_every_address_it_names_is_documented(path: str) -> None:
    from config.api import api

    known = [re.sub(r"\{\w+\}", "", name) for name in api.get_openapi_schema()["paths"]]
    assert any(name == path.rstrip("/") or name.startswith(path) for name in known), path
