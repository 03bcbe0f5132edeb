"""Who may import whom, who may write state, what we do not do. Reads the code, runs nothing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("account", "config", "ingestion", "notifications", "realtime")
LEAVES = (
    "config.texts",
    "config.env",
    "config.problems",
    "config.paging",
    "config.patience",
    "config.statements",
    "config.strictjson",
)
ROOTS = ("config.urls", "config.asgi", "config.api", "config.serve")
# What each room may import of the others; a source may import all three.
ALLOWED = {
    "realtime": {"realtime"},
    "notifications": {"notifications", "realtime"},
    "ingestion": {"ingestion", "notifications", "realtime"},
    "account": {"account", "ingestion", "notifications", "realtime"},
}
FORBIDDEN_NAMES = {"utils", "helpers", "core", "common"}


def python_files(*rooms: str) -> Iterator[Path]:
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    """Return every module that a file imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imports_package(path: Path, *packages: str) -> bool:
    return any(name.split(".")[0] in packages for name in imports(path))


@pytest.mark.parametrize("room", ALLOWED)
def test_rooms_import_one_way(room):
    wrong = []
    for path in python_files(room):
        for name in imports(path):
            top = name.split(".")[0]
            if top in ALLOWED and top not in ALLOWED[room]:
                wrong.append(f"{module_of(path)} imports {name}")
    assert not wrong


def test_the_core_names_no_source():
    sources = [path.name for path in (ROOT / "ingestion" / "sources").iterdir() if path.is_dir()]
    wrong = [
        f"{module_of(path)} imports {name}"
        for path in python_files("ingestion", "notifications", "realtime")
        if "sources" not in path.parts
        for name in imports(path)
        if name.startswith("ingestion.sources.") and name.split(".")[2] in sources
    ]
    assert not wrong


def test_sources_do_not_import_each_other():
    wrong = []
    for path in python_files("ingestion/sources"):
        own = path.relative_to(ROOT / "ingestion" / "sources").parts[0]
        for name in imports(path):
            parts = name.split(".")
            if parts[:2] == ["ingestion", "sources"] and len(parts) > 2 and parts[2] != own:
                wrong.append(f"{module_of(path)} imports {name}")
    assert not wrong


def test_nobody_imports_the_roots():
    wrong = [
        f"{module_of(path)} imports {name}"
        for path in python_files(*ROOMS)
        for name in imports(path)
        if name in ROOTS and module_of(path) not in (*ROOTS, "config.management.commands.serve")
    ]
    assert not wrong


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaves_import_nothing_of_ours(leaf):
    path = ROOT / (leaf.replace(".", "/") + ".py")
    ours = {name for name in imports(path) if name.split(".")[0] in ROOMS}
    assert not {name for name in ours if not name.startswith(LEAVES)}


def test_only_queues_knows_rq():
    users = {module_of(path) for path in python_files(*ROOMS) if imports_package(path, "rq", "django_rq")}
    assert users <= {"ingestion.queues"}


def test_only_realtime_and_asgi_know_channels():
    users = {module_of(path) for path in python_files(*ROOMS) if imports_package(path, "channels")}
    assert {name for name in users if not name.startswith("realtime.")} <= {"config.asgi"}


def state_writers(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that write a field named `state` of something that could be a row."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(
                isinstance(target, ast.Attribute) and target.attr == "state" and not is_self(target)
                for target in targets
            ):
                yield node.lineno
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("update", "update_or_create")
            and any(keyword.arg == "state" for keyword in node.keywords)
        ):
            yield node.lineno


def is_self(target: ast.Attribute) -> bool:
    return isinstance(target.value, ast.Name) and target.value.id == "self"


# Rows with a state of their own that are not jobs: an item's outcome, an import's rows, a step in memory.
OTHER_STATES = re.compile(r"\b(item|items|step|row|rows|JobItem|Schedule|Upload)\b", re.IGNORECASE)


MOVES = re.compile(
    r"^from ingestion import .*\bmoves\b|^from ingestion\.moves import|^import ingestion\.moves", re.M
)


def test_only_lifecycle_writes_state():
    wrong = []
    for path in python_files("ingestion", "notifications", "config"):
        if module_of(path) == "ingestion.lifecycle":
            continue
        lines = path.read_text().splitlines()
        for number in state_writers(ast.parse(path.read_text())):
            if not OTHER_STATES.search(lines[number - 1]):
                wrong.append(f"{module_of(path)}:{number}: {lines[number - 1].strip()}")
    assert not wrong


def test_only_lifecycle_makes_moves():
    makers = [
        module_of(path)
        for path in python_files("ingestion", "notifications", "config")
        if MOVES.search(path.read_text())
    ]
    assert makers == ["ingestion.lifecycle"]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("job.state = 1", 1),
        ("Job.objects.update(state=1)", 1),
        ("state = 1", 0),
        ("job.update(version=1)", 0),
    ],
)
def test_the_search_for_writers_of_state_finds_them(code, found):
    assert len(list(state_writers(ast.parse(code)))) == found


def test_no_shelf_for_everything():
    paths = [
        path
        for room in (*ROOMS, "tests")
        for path in (ROOT / room).rglob("*")
        if "__pycache__" not in str(path)
    ]
    assert not [path for path in paths if path.stem in FORBIDDEN_NAMES]


# Of our modules, what can be imported before the settings.
MODEL_FREE = {"tests.waiting", "tests.measured", "tests.services"}


def test_each_folder_of_tests_can_be_run_alone():
    """A folder's conftest.py named on the command line is imported before the settings are named."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {node.module}"
        for path in sorted((ROOT / "tests").rglob("conftest.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom) and node.module and node.module not in MODEL_FREE
        if node.module.split(".")[0] in (*ROOMS, "tests") or node.module.startswith("django.contrib.")
    ]
    assert not wrong


# Hears Django's own models say that a sign-in ended: no other way tells a save in the admin from outside.
HEARS_DJANGO = ROOT / "realtime/revocation.py"
# Hears that a user is about to be deleted, before Django locks anything.
HEARS_USERS_GO = ROOT / "ingestion/departures.py"


def test_no_signals_between_our_apps():
    wrong = [
        module_of(path)
        for path in python_files(*ROOMS)
        if any(name.startswith(("django.dispatch", "django.db.models.signals")) for name in imports(path))
    ]
    assert wrong == [module_of(HEARS_USERS_GO), module_of(HEARS_DJANGO)]
    connected = re.findall(r"(\w+)\.connect\(\w+, sender=(.+?), ", HEARS_USERS_GO.read_text())
    assert connected == [("pre_delete", "get_user_model()")]


def test_the_one_that_hears_signals_hears_django_alone():
    models = {name for name in imports(HEARS_DJANGO) if name.split(".")[0] in ROOMS}
    assert models == {"realtime.publish", "realtime.publish.recheck"}
    connected = re.findall(r"\.connect\((.*)\)", HEARS_DJANGO.read_text())
    assert len(connected) == 6 and all(", sender=" in call for call in connected)


def test_every_except_names_a_class():
    bare = [
        f"{module_of(path)}:{node.lineno}"
        for path in python_files(*ROOMS)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert not bare


def templates() -> list[Path]:
    return [path for room in ("templates", *ROOMS) for path in (ROOT / room).rglob("*.html")]


def test_templates_have_no_inline_style_or_script():
    inline = re.compile(
        r"<style|\sstyle\s*=|<script(?![^>]*\ssrc=)(?![^>]*application/json)|\son[a-z]+\s*=\s*[\"']"
    )
    wrong = [
        f"{path.relative_to(ROOT)}: {match.group()!r}"
        for path in templates()
        for match in inline.finditer(path.read_text())
    ]
    assert not wrong


def scripts() -> list[Path]:
    found = [path for room in ("static", *ROOMS) for path in (ROOT / room).rglob("*.js")]
    return [path for path in found if "vendor" not in path.parts]


def test_our_scripts_build_no_html():
    wrong = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in scripts()
        for word in (".innerHTML", ".outerHTML", "insertAdjacentHTML", "document.write", "eval(")
        if word in path.read_text()
    ]
    assert not wrong


def test_no_address_of_a_machine_is_kept():
    home = re.compile(r"/(work|home|root|Users)/[a-z]")
    names = [*python_files(*ROOMS, "tests"), ROOT / "run", ROOT / "pyproject.toml"]
    assert not [module_of(path) for path in names if home.search(path.read_text())]


def test_the_engine_can_be_read_in_an_hour() -> None:
    engine = ("lifecycle", "claims", "run", "reporter", "worker", "queues", "keeper")
    lines = {name: len((ROOT / f"ingestion/{name}.py").read_text().splitlines()) for name in engine}
    assert sum(lines.values()) < 1800, lines
