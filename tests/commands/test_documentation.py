"""docs/commands.md says what there is, and nothing else."""

import re
from argparse import ArgumentParser, _SubParsersAction

import pytest
from django.core.management import get_commands, load_command_class

from tests.engine import ROOT

TEXT = (ROOT / "docs" / "commands.md").read_text()
OURS = sorted(
    name
    for name, app in get_commands().items()
    if isinstance(app, str) and app.split(".")[0] in ("config", "ingestion", "notifications", "realtime")
)


@pytest.mark.parametrize("name", OURS)
def test_every_command_has_a_section_with_an_example(name: str) -> None:
    section = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert section is not None
    assert f"    ./run {name}" in section[1]


def test_nothing_is_documented_that_is_not_there() -> None:
    assert set(re.findall(r"^### (\w+)$", TEXT, re.MULTILINE)) == set(OURS)


@pytest.mark.parametrize("line", re.findall(r"^    \./run (.+)$", TEXT, re.MULTILINE))
def test_every_option_of_an_example_exists(line: str) -> None:
    words = line.split()
    if words[0] in ("test", "check"):  # their arguments are those of other tools
        return
    parser: ArgumentParser = load_command_class(get_commands()[words[0]], words[0]).create_parser(
        "run", words[0]
    )
    known = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            assert words[1] in action.choices
            known |= set(action.choices[words[1]]._option_string_actions)
    assert {word for word in words if word.startswith("--")} <= known
