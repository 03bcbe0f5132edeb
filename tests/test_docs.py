"""The documentation names what exists, and nothing else."""

import os
import re
import subprocess
import sys
from pathlib import Path

from config.env import INTERNAL

ROOT = Path(__file__).resolve().parent.parent


def settings_read() -> set[str]:
    """Return every name that the settings ask the environment for."""
    code = "import config.settings as s; print(*s.env.known)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_setting_is_documented_and_no_other():
    documented = set(
        re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    )
    assert documented == settings_read()


def test_no_setting_is_mentioned_that_nobody_reads():
    texts = "".join(
        (ROOT / name).read_text()
        for name in ("README.md", "CONTRIBUTING.md", "docs/settings.md", "docs/proxy.md")
    )
    assert set(re.findall(r"HEADWAY_[A-Z_]+[A-Z]", texts)) <= settings_read() | set(INTERNAL)


def test_links_between_documents_lead_somewhere():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_commands_in_the_readme_exist():
    from django.core.management import get_commands

    known = set(get_commands())
    for command in re.findall(r"\./run ([a-z_]+)", (ROOT / "README.md").read_text()):
        assert command in known, command


def test_the_two_scripts_can_be_run():
    assert os.access(ROOT / "run", os.X_OK) and os.access(ROOT / ".ci" / "run", os.X_OK)
