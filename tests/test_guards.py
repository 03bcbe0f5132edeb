"""What our code does not do, or only where somebody looked: guards left out, shells, other ways out.

Reads the code, runs nothing.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.test_architecture import ROOMS, ROOT, module_of, templates

Rule = Callable[[ast.AST], Iterator[str]]


@cache
def code() -> dict[str, ast.Module]:
    """Return each of our modules by name, migrations as well."""
    paths = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return {module_of(path): ast.parse(path.read_text()) for path in paths}


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the whole name of whatever is imported, at the top or inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def called(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call, with the name of what is called as it stands there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def literal(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant)


# What marks text as safe, runs text, or takes a body that no form of ours sent.
GUARDS_LEFT_OUT = {
    "mark_safe", "SafeString", "SafeText", "eval", "exec", "RawSQL", "csrf_exempt",
    "_create_unverified_context",
}  # fmt: skip
OPEN = {("shell", "True"), ("verify", "False"), ("autoescape", "False")}


def guards_left_out(tree: ast.AST) -> Iterator[str]:
    """Yield the calls, decorators and arguments by which a guard is left out."""
    for node in ast.walk(tree):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        last = name.rpartition(".")[2]
        if last in GUARDS_LEFT_OUT:
            yield last
        elif "csrf_exempt" in (getattr(node, "id", ""), getattr(node, "attr", "")):
            yield "csrf_exempt"  # a decorator is not called
        if isinstance(node, ast.keyword) and (node.arg, ast.unparse(node.value)) in OPEN:
            yield f"{node.arg}={ast.unparse(node.value)}"
        if last == "format_html" and isinstance(node, ast.Call) and not literal(node.args[0]):
            yield "format_html"  # escapes what is put in, not what it is put into


SHELLS = ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn")


def shells(tree: ast.AST) -> Iterator[str]:
    """Yield what gives text to a shell."""
    yield from (name for name in imported(tree) if name in SHELLS or name == "commands")
    for name, call in called(tree):
        if name in SHELLS or name.endswith("create_subprocess_shell"):
            yield name
        yield from (
            "shell" for one in call.keywords if one.arg == "shell" and ast.unparse(one.value) != "False"
        )


def unpickled(tree: ast.AST) -> Iterator[str]:
    """Yield what makes objects, or code, of bytes."""
    packages = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "jsonpickle", "marshal", "shelve")
    yield from (name for name in imported(tree) if name.split(".")[0] in packages)


def loose_yaml(tree: ast.AST) -> Iterator[str]:
    """Yield what reads YAML with a loader that makes objects."""
    yield from (
        name for name in imported(tree) if re.match(r"(yaml|ruamel)\.(?!safe_|SafeLoader|CSafeLoader)", name)
    )
    for name, call in called(tree):
        if re.fullmatch(r"yaml\.(full_|unsafe_)?load(_all)?", name):
            loaders = [*call.args[1:], *(one.value for one in call.keywords if one.arg == "Loader")]
            if "unsafe" in name or "full" in name or not any(safe_loader(one) for one in loaders):
                yield name


def safe_loader(node: ast.expr) -> bool:
    return ast.unparse(node) in ("yaml.SafeLoader", "yaml.CSafeLoader", "SafeLoader", "CSafeLoader")


# Each would ask outside without our limits: address, time, size, redirects, proxies of the environment.
ASKERS = ("urllib.request", "http.client", "requests", "aiohttp", "urllib3", "pycurl", "smtplib", "ftplib")


def ways_out(tree: ast.AST) -> Iterator[str]:
    """Yield what asks outside by itself: httpx used for more than its types, or another that asks."""
    for name in imported(tree):
        if name == "httpx" or not name.startswith("httpx."):
            yield from (one for one in ASKERS if name == one or name.startswith(one + "."))
        else:
            yield name  # under the name it has there, nobody would see what it does
    own = r"httpx\.(Async)?(Client|HTTPTransport|get|post|put|patch|delete|head|options|request|stream)"
    yield from (name for name, _ in called(tree) if re.fullmatch(own, name))


# Where a rule must be left, and why it may be.
REVIEWED: dict[Rule, dict[str, set[str]]] = {
    guards_left_out: {
        "config.health": {"csrf_exempt"},  # a browser's report, which changes nothing
        "ingestion.sources.documents.search": {"mark_safe"},  # escaped the line before
        "ingestion.sources.imports.preview": {"RawSQL"},  # composed by psycopg
        "ingestion.templatetags.headway": {"SafeString"},  # words of our own alone
        "notifications.settings_views": {"csrf_exempt"},  # what a mail provider posts to is signed
        "realtime.arrivals": {"eval"},  # Redis' scripts
    },
    shells: {},
    unpickled: {},
    loose_yaml: {},
    ways_out: {
        "ingestion.outside_bodies": {"httpx.Client"},  # the one that all others have from here
        "ingestion.outside_connections": {"httpx.HTTPTransport"},  # connects where that one was told
        "account.recovery": {"smtplib"},  # names what Django's mail may raise
        "config.management.commands.up": {"http.client"},  # whether our own web process serves yet
        "notifications.delivery": {"smtplib"},
        "notifications.mail": {"smtplib"},
        "notifications.webhooks": {"http.client"},  # the address is looked at and kept
        "realtime.checkup": {"http.client"},  # names what the next raises
        "realtime.deployment": {"http.client"},  # our own site, at the address an operator gives
    },
}
BAD = {
    guards_left_out: [
        "mark_safe(text)",
        "html.mark_safe(f'<b>{text}</b>')",
        "SafeString(text)",
        "format_html(f'<b>{text}</b>')",
        "format_html(text + '{}', more)",
        "eval(text)",
        "exec(text)",
        "httpx.Client(verify=False)",
        "Environment(autoescape=False)",
        "@csrf_exempt\ndef view(request): ...",
        "@csrf.csrf_exempt\ndef view(request): ...",
    ],
    shells: [
        "subprocess.run(text, shell=True)",
        "subprocess.Popen(text, shell=on)",
        "os.system(text)",
        "from os import popen",
        "subprocess.getoutput(text)",
        "asyncio.create_subprocess_shell(text)",
    ],
    unpickled: ["import pickle", "from marshal import loads", "def f():\n    import joblib"],
    loose_yaml: [
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.load_all(text, yaml.FullLoader)",
        "yaml.unsafe_load(text)",
        "yaml.full_load(text)",
        "from yaml import load",
    ],
    ways_out: [
        "httpx.get(url)",
        "httpx.AsyncClient()",
        "httpx.stream('GET', url)",
        "from httpx import Client",
        "import requests",
        "from urllib.request import urlopen",
        "from urllib import request",
        "from http.client import HTTPSConnection",
    ],
}
GOOD = [
    "subprocess.run(['ls'], shell=False)",
    "yaml.load(text, Loader=yaml.SafeLoader)",
    "yaml.safe_load(text)",
    "from yaml import safe_load",
    "format_html('<b>{}</b>', text)",
    "httpx.Timeout(3)",
    "import httpx",
    "redis.register_script(text)",
    "from urllib.parse import urlsplit",
]


def where(rule: Rule) -> dict[str, set[str]]:
    found = {module: set(rule(tree)) for module, tree in code().items()}
    return {module: broken for module, broken in found.items() if broken}


@pytest.mark.parametrize("rule", REVIEWED)
def test_a_rule_is_left_only_where_somebody_looked(rule: Rule) -> None:
    assert where(rule) == REVIEWED[rule]


@pytest.mark.parametrize(("rule", "bad"), [(rule, bad) for rule in BAD for bad in BAD[rule]])
def test_a_rule_finds_what_breaks_it(rule: Rule, bad: str) -> None:
    assert len(list(rule(ast.parse(bad)))) == 1


@pytest.mark.parametrize("good", GOOD)
def test_no_rule_finds_what_keeps_it(good: str) -> None:
    assert [list(rule(ast.parse(good))) for rule in REVIEWED] == [[]] * len(REVIEWED)


SPOKEN_SAFE = re.compile(r"\|\s*safe(seq)?\b|autoescape\s+off")


def test_templates_escape_everything() -> None:
    assert [path.name for path in templates() if SPOKEN_SAFE.search(path.read_text())] == []


@pytest.mark.parametrize(
    "text", ["{{ a|safe }}", "{{ a | safe|b }}", "{{ a|safeseq}}", "{% autoescape off %}"]
)
def test_the_search_for_what_templates_do_not_escape_finds_it(text: str) -> None:
    assert SPOKEN_SAFE.search(text)
    assert not SPOKEN_SAFE.search("{{ a|safer }} {% autoescape on %} safe")


def test_the_files_that_are_read_are_all_there_are() -> None:
    assert {"config.settings", "ingestion.lifecycle", "ingestion.sources.imports.staging"} <= code().keys()
    assert len(templates()) > 50
