"""Every row of the collection of bad inputs has a test that names it, or a reason why it has none."""

import json
import re
from pathlib import Path

import pytest

from tests.engine import ROOT

ANSWERED_OTHERWISE = {
    "ENV36": "one address for both: wakes are keys, hints are messages, which belong to no database of Redis",
    "ENV79": "no .env is read; what compose and systemd read is theirs to keep",
}
KINDS = "API|CMD|ENV|UP|URL|WS"


def named() -> set[str]:
    """Return the ids in tests: in names of cases, comments and docstrings, one by one or as "X1 to X9"."""
    text = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    found = set(re.findall(rf"\b((?:{KINDS})\d+)[a-z]?\b", text))
    for kind, first, last in re.findall(rf"\b({KINDS})(\d+) to (?:{KINDS})(\d+)\b", text):
        found |= {f"{kind}{number}" for number in range(int(first), int(last) + 1)}
    return found


def test_every_bad_input_is_named_by_a_test(real_data: Path) -> None:
    path = real_data.parent / "bad_inputs.json"
    if not path.is_file():
        pytest.skip(f"no collection of bad inputs at {path}")
    rows = {row["id"] for row in json.loads(path.read_text())}
    assert len(rows) > 300
    missing = sorted(rows - named() - ANSWERED_OTHERWISE.keys())
    assert not missing, f"no test names {', '.join(missing)}"
