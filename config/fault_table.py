"""The table of `./run test --faults`: what docs/promises.md says beside what the tests measured."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

WIDTH = 52  # of a fault's name


@dataclass(frozen=True)
class Fault:
    """A row of the document: its id, what breaks, and the tests that show what comes of it."""

    id: str
    name: str
    tests: tuple[str, ...]


@dataclass
class Found:
    """What the cases of a fault's tests measured. worst: seconds, and those that were promised."""

    cases: int = 0
    rounds: int = 0
    violations: int = 0
    worst: tuple[float, float] | None = None


def faults(document: Path) -> list[Fault]:
    """Return the faults that the document names, in its order."""
    rows = re.findall(r"^\| (X\d+) \| (.*?) \| (.*) \|$", document.read_text(), re.MULTILINE)
    return [Fault(name, what, tuple(re.findall(r"`(test_\w+)`", tests))) for name, what, tests in rows]


def places(tests: Iterable[str], folder: Path) -> list[str]:
    """Return the node ids of tests that are below a folder, as pytest takes them where that folder is."""
    wanted = set(tests)
    return [
        f"{path.relative_to(folder.parent)}::{name}"
        for path in sorted(folder.rglob("test_*.py"))
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE)
        if name in wanted
    ]


def read(record: Path) -> dict[str, Found]:
    """Return what was measured, by test."""
    found: dict[str, Found] = {}
    for line in record.read_text().splitlines() if record.exists() else ():
        case = json.loads(line)
        one = found.setdefault(case["test"], Found())
        one.cases += 1
        one.rounds += case["rounds"]
        one.violations += not case["passed"]
        one.worst = _worse(one.worst, case["worst"])
    return found


def lines(rows: Iterable[Fault], found: dict[str, Found]) -> Iterator[str]:
    """Return the table, line by line. A fault without rounds was not tried: its tests were skipped."""
    yield f"{'':4} {'fault':{WIDTH}} {'rounds':>6} {'violations':>10}  worst time"
    for row in rows:
        its = [found[test] for test in row.tests if test in found]
        worst = None
        for one in its:
            worst = _worse(worst, one.worst)
        said = f"{worst[0]:.1f} s of {worst[1]:g} s" if worst else "-"
        rounds, violations = sum(one.rounds for one in its), sum(one.violations for one in its)
        name = row.name if len(row.name) <= WIDTH else row.name[: WIDTH - 3].rstrip() + "..."
        yield f"{row.id:4} {name:{WIDTH}} {rounds:6} {violations:10}  {said}"


def _worse(one: tuple[float, float] | None, other: tuple[float, float] | None) -> tuple[float, float] | None:
    known = [worst for worst in (one, other) if worst]
    return max(known, key=lambda worst: worst[0] / worst[1], default=None)
