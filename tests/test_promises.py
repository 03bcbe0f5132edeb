"""docs/promises.md names tests that there are, each promise has its control, and nothing is left out."""

import re
from importlib.metadata import version

import pytest

from tests.engine import ROOT

TEXT = (ROOT / "docs" / "promises.md").read_text()
ROWS = re.findall(r"^\| ([PXF]\d+) \|(.*)\|$", TEXT, re.MULTILINE)
PROMISES = [f"P{n}" for n in range(1, 27)]
SUMS = {"P1": {"P7", "P8", "P10", "P11"}}  # what others keep together has their controls
FAULTS = [f"X{n}" for n in range(1, 45)]
# What `/metrics` tells: test_every_metric_is_documented_and_no_other holds both against each other.
METRICS = set(re.findall(r"`(headway_\w+)`", (ROOT / "docs" / "metrics.md").read_text()))
CHECKS = {"database", "redis", "keeper", "worker"}  # of `/readyz`
FINDINGS = ["F1", "F2", "F3", "F4", "F10", "F11", "F12", "F13", "F14", "F15", "F16", "F20"]


def test_every_promise_fault_and_finding_is_there_once():
    assert [name for name, _ in ROWS] == PROMISES + FAULTS + FINDINGS


def test_every_test_that_is_named_exists():
    code = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for name, row in ROWS:
        tests = re.findall(r"`(test_\w+)`", row)
        assert tests, name
        for test in tests:
            assert f"def {test}(" in code, f"{name}: {test}"


def test_every_promise_has_a_control_of_its_own():
    seen: set[str] = set()
    for name, row in ROWS:
        if name in SUMS:
            assert set(re.findall(r"P\d+", row.rpartition("|")[2])) == SUMS[name] <= set(PROMISES) - {name}
        elif name in PROMISES:
            controls = re.findall(r"`(test_without\w+)`", row.rpartition("|")[2])
            assert controls, name
            assert not seen & set(controls), f"{name} has the control of another promise"
            seen |= set(controls)


def unseen(figures: set[str]) -> list[str]:
    """Return the promises that no figure and no check of `/readyz` tells of."""
    missing = []
    for name, row in ROWS:
        if name in PROMISES:
            seen = row.split("|")[2]
            told = set(re.findall(r"`(\w+)`", seen))
            if not (told & figures or CHECKS & set(re.findall(r"\b\w+\b", seen.rpartition("`")[2]))):
                missing.append(name)
            assert told <= METRICS, f"{name}: {told - METRICS}"
    return missing


def test_every_promise_is_seen_in_a_figure_or_in_readiness() -> None:
    assert unseen(METRICS) == []


def test_without_its_figure_a_promise_is_found_unseen() -> None:
    assert unseen(METRICS - {"headway_live_epochs_total"}) == ["P24"]


@pytest.mark.seed("SEC79")
def test_daphne_is_new_enough():
    """F15: before 4.2.2 a message was of any size (CVE-2026-44545), and headers could be smuggled."""
    assert tuple(map(int, version("daphne").split("."))) >= (4, 2, 2)
    assert '"daphne>=4.2.2"' in (ROOT / "pyproject.toml").read_text()
