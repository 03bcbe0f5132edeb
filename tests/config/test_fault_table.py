"""The table of faults names those of docs/promises.md, and says of each what its tests measured."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config import fault_table
from tests.engine import ROOT
from tests.faults.conftest import LONGEST, longest_first
from tests.measured import RECORD, Measured, Promised, measured
from tests.test_promises import FAULTS
from tests.waiting import until


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Keep figures of this test's own in the place of those of the test itself."""
    own = Measured()
    monkeypatch.setattr("tests.measured.measured", own)
    monkeypatch.setattr("tests.waiting.measured", own)
    return own


def test_it_has_the_faults_of_the_document_and_each_has_its_tests() -> None:
    rows = fault_table.faults(ROOT / "docs" / "promises.md")
    assert [row.id for row in rows] == FAULTS
    named = {test for row in rows for test in row.tests}
    places = fault_table.places(named, ROOT / "tests")
    assert {place.partition("::")[2] for place in places} == named
    assert all(place.startswith("tests/") for place in places)  # whatever the checkout's folder is named


def test_with_all_rounds_the_longest_begin_first_and_hold_back_only_short_ones() -> None:
    places = fault_table.places(LONGEST, ROOT / "tests")
    assert sorted(place.partition("::")[2] for place in places) == sorted(LONGEST)
    tests: list[Any] = [SimpleNamespace(name=name) for name in ("a", "b", LONGEST[1], "c", LONGEST[0])]
    assert [one.name for one in longest_first(tests)] == [LONGEST[0], "a", LONGEST[1], "b", "c"]
    assert [one.name for one in longest_first(tests[2:3])] == [LONGEST[1]]


def test_what_is_waited_for_and_compared_with_a_promise_is_measured(kept: Measured) -> None:
    until(lambda: True, Promised(20))
    assert kept.worst is not None and kept.worst[0] < 20 and kept.worst[1] == 20
    assert Promised(2) > 1.5 and not Promised(2) >= 2.5
    assert kept.worst == (2.5, 2.0)
    kept.begin()
    until(lambda: True, 20)
    assert kept.worst is None
    assert measured is not kept


def test_each_fault_has_its_rounds_violations_and_worst_time(
    kept: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.write("test_nobody_asked", True)
    monkeypatch.setenv(RECORD, str(tmp_path / "record"))
    kept.rounds = 30
    kept.took(3.0, 15.0)
    kept.write("test_a", True)
    kept.begin()
    kept.took(7.5, 30.0)
    kept.write("test_a", False)
    kept.begin()
    kept.write("test_b", True)
    rows = [
        fault_table.Fault("X1", "a worker is killed", ("test_a", "test_b")),
        fault_table.Fault("X2", "a very long story " * 9, ("test_b",)),
        fault_table.Fault("X3", "what was skipped", ("test_c",)),
    ]
    said = [line.split() for line in fault_table.lines(rows, fault_table.read(tmp_path / "record"))]
    assert said[0] == ["fault", "rounds", "violations", "worst", "time"]
    assert said[1] == ["X1", "a", "worker", "is", "killed", "32", "1", "7.5", "s", "of", "30", "s"]
    assert said[2][-3:] == ["1", "0", "-"] and said[2][-4].endswith("...")
    assert said[3][-3:] == ["0", "0", "-"]
