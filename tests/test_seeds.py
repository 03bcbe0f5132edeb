"""What is due has a test that names it."""

import ast

from tests.engine import ROOT
from tests.seeds import ANSWERED_OTHERWISE, DUE


def marked() -> set[str]:
    """Return the ids in the marks `seed` of all test functions, read from the code: nothing is collected."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.seed":
                        found |= {str(ast.literal_eval(argument)) for argument in mark.args}
    return found


def test_every_id_that_is_due_is_named_by_a_test() -> None:
    missing = sorted(DUE - marked())
    assert not missing, f"no test is marked with {', '.join(missing)}"


def test_what_is_answered_otherwise_says_why_and_has_no_test() -> None:
    assert all(ANSWERED_OTHERWISE.values())
    assert not marked() & set(ANSWERED_OTHERWISE)
