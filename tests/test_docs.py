"""The documentation names what exists, and nothing else."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from config.env import INTERNAL
from ingestion import updates
from realtime.limits import CONNECTIONS

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


def pages() -> dict[str, str]:
    """Return all that is documentation, by its name in the checkout."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "realtime" / "PROTOCOL.md"]
    return {str(path.relative_to(ROOT)): path.read_text() for path in found if path.name != "CHANGELOG.md"}


def test_no_setting_is_mentioned_that_nobody_reads():
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    for name, text in pages().items():
        for setting in set(re.findall(r"HEADWAY_[A-Z_]+[A-Z]", text)) - settings_known():
            assert f'"{setting}"' in tests, f"{name}: {setting}"  # of the benches and the tests themselves


@cache
def settings_known() -> frozenset[str]:
    return frozenset(settings_read() | set(INTERNAL))


def test_every_command_of_every_page_exists():
    from django.core.management import get_commands

    known = {*get_commands(), "help"}
    for name, text in pages().items():
        for command in re.findall(r"(?:\./run|docker compose run --rm migrate) ([a-z_]+)", text):
            assert command in known, f"{name}: {command}"


ROOMS = "account|config|deploy|docs|ingestion|notifications|realtime|static|templates"


def test_every_file_that_a_page_names_exists():
    for name, text in pages().items():
        for path in re.findall(rf"`((?:{ROOMS})/[\w./@-]+\.\w+)`", text):
            assert (ROOT / path).exists(), f"{name}: {path}"


def test_what_is_said_of_the_ideas_exists() -> None:
    from config.api import api

    text = (ROOT / "docs" / "ideas.md").read_text()
    ideas, calls = re.findall(r"^\|---.*\n((?:\|.*\n)+)", text, re.MULTILINE)[:2]
    assert len(ideas.splitlines()) == 8
    for name in re.findall(r"^\| `(\w+)`", calls, re.MULTILINE):
        assert callable(getattr(updates, name, None) or getattr(updates.TaskManager, name, None)), name
    known = api.get_openapi_schema()["paths"]
    for address in re.findall(r"`(?:GET|POST) (/api/[^`]*)`", text):
        assert [one for one in known if re.sub(r"\{\w+\}", "{id}", one) == address], address
    systems = set(re.findall(r"`ingestion/sources/(\w+)/`", text))
    assert systems == {path.parent.name for path in ROOT.glob("ingestion/sources/*/source.py")} - {"probe"}


def test_every_check_is_documented_has_a_number_of_its_own_and_says_what_to_do() -> None:
    made = [
        {word.arg: word.value for word in call.keywords}
        for call in ast.walk(ast.parse((ROOT / "config" / "checks.py").read_text()))
        if isinstance(call, ast.Call) and {word.arg for word in call.keywords} & {"id", "hint"}
    ]
    assert all({"id", "hint"} <= one.keys() for one in made)
    ids = [ast.literal_eval(one["id"]) for one in made]
    assert len(ids) == len(set(ids))
    page = (ROOT / "docs" / "install.md").read_text()
    assert set(re.findall(r"^\| `(headway\.\w\d+)`", page, re.MULTILINE)) == set(ids)


def test_links_between_documents_lead_somewhere():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_two_scripts_can_be_run():
    assert os.access(ROOT / "run", os.X_OK) and os.access(ROOT / ".ci" / "run", os.X_OK)


def test_what_scale_is_computed_from_is_what_was_measured():
    """The figures of docs/scale.md: those of the pages that it names, and sums of them that are right."""
    text = (ROOT / "docs" / "scale.md").read_text()
    wire, imports, documents = (
        (ROOT / name).read_text() for name in ("realtime/PROTOCOL.md", "docs/imports.md", "docs/documents.md")
    )
    for page, figures in (
        (wire, ("19 to 28 KB", "19 us", "2.8 ms", "3.1 ms", "3.8 s")),
        (imports, ("45 ms", "166.5 MB", "168")),
        (documents, ("32 ms", "46.6 ms")),
    ):
        assert [one for one in figures if one not in page or one not in text] == []
    assert "| staged, checked and loaded | 3.7 |" in imports and "3.7 us" in text  # of a million rows
    assert f"{CONNECTIONS:,} connections" in text
    tables = re.findall(r"^\| ([\d,]+) \|(.*)\|$", text, re.MULTILINE)
    assert [pages for pages, _ in tables] == ["10,000", "100,000", "1,000,000"] * 2
    for pages, row in tables[:3]:
        count = int(pages.replace(",", ""))
        processes = round(count / CONNECTIONS * 1.1)
        least, most = (round(count * one / 1e6, 1) for one in (19, 28))
        for figure in (f"| {processes:,} ", f"{processes * 4:,}", f"{count * 0.0031:,.0f} s", f"{most:g} GB"):
            assert figure.strip("| ") in row, (pages, figure)
        assert f"{least:g} to" in row
    for pages, row in tables[3:]:
        count = int(pages.replace(",", ""))
        alone, shared = row.split("|")
        for said, cores in (
            (re.findall(r"[\d.]+", alone)[-1], count / 60 * 0.0028),
            (re.findall(r"[\d.]+", shared)[0], count * 19e-6),
        ):
            assert abs(float(said) - cores) < 0.05 * cores + 0.05, (pages, said, cores)
