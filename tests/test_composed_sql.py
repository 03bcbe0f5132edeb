"""SQL is put together of constants and parameters alone, or of what somebody looked at.

Reads the code, runs nothing.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.test_guards import called, code, literal

# What stands in some SQL beside constants and parameters, and why it may:
PUT_IN = {
    "config.management.commands.restore": {"remember", "value"},  # one of two constants; an epoch of ours
    "ingestion.items": {"count"},  # one of the two names that its loop lists
    "ingestion.job_items": {"table"},  # of a model
    "ingestion.moves": {"_FIELDS[name].column", "field.column", "texts"},  # columns of the model
    "ingestion.reporter": {"sets"},  # columns that it names itself
    "ingestion.run": {"columns", "progress"},  # of the item's fence; repeats a constant, or not
    "ingestion.sources.documents.by_words": {"has", "found"},  # conditions of its own
    "ingestion.sources.documents.vectors": {"int(dim)"},  # of a vector
    "ingestion.sources.imports.analytics.source": {"where", "old", "known"},  # one of two constants each
    # What its callers call with, constants; what is made of tables of its own.
    "ingestion.sources.imports.analytics.units": {"rows", "sign", "least", "section(division)"},
    "ingestion.sources.imports.deadline": {"left"},  # a number
    "notifications.acting": {"condition", "verb.sets", "verb.where"},  # of a filter; of a table of verbs
    "notifications.broadcasts": {"columns", "where", "table", "column"},  # of models; a constant of callers
    "notifications.listing": {"condition", "place", "sums", "piles", "VIEWS[name]"},  # of a table of views
    "realtime.streams": {"table", "key"},  # of a model
}
WORDS = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|TRUNCATE|LISTEN|NOTIFY|COPY|SET|VALUES)\b"
    r"|\bWHERE\b"
    r"|(?i:\b(select\s.+\sfrom|insert\s+into|update\s+\S+\s+set|delete\s+from)\s)"
)
TEXTS = (ast.Constant, ast.JoinedStr, ast.BinOp, ast.Call)  # what a text may be written as
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
TAKES_SQL = {"execute", "executemany", "raw", "RawSQL", "SQL", "RunSQL", "copy", "mogrify"}


def put_in(tree: ast.Module) -> Iterator[str]:
    """Yield what is put into SQL by f-strings, `+`, `%` and `format`, but for constants."""
    texts = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, TEXTS)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    calls = [call for name, call in called(tree) if name.rpartition(".")[2] in TAKES_SQL]
    taken = {id(given) for call in calls for given in (*call.args[:1], *named(call))}
    grown: dict[tuple[ast.AST, str], list[ast.expr]] = {}
    for place in (tree, *(one for one in ast.walk(tree) if isinstance(one, FUNCTIONS))):
        for name, values in grows(place).items():
            grown[place, name] = values
    for values in grown.values():
        parts = [part for value in values for part in pieces(value, texts)]
        if WORDS.search(" ".join(str(part.value) for part in parts if isinstance(part, ast.Constant))):
            yield from (ast.unparse(part) for part in parts if not fixed(part))
    for node in ast.walk(tree):
        if not isinstance(node, TEXTS[1:]):
            continue
        parts = list(pieces(node, texts))
        text = " ".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
        if text and (id(node) in taken or WORDS.search(text)):
            yield from (ast.unparse(part) for part in parts if not fixed(part))


def named(call: ast.Call) -> list[ast.expr]:
    """Return what a call is given as SQL by name."""
    return [one.value for one in call.keywords if one.arg in ("sql", "query", "statement", "raw_query")]


def grows(place: ast.AST) -> dict[str, list[ast.expr]]:
    """Return all that names are given, where `+=` adds to them."""
    given: dict[str, list[ast.expr]] = {}
    adds = set()
    for node in within(place):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                given.setdefault(name, []).append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                given.setdefault(name, []).append(value)
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
                given.setdefault(name, []).append(value)
                adds.add(name)
    return {name: given[name] for name in adds}


def within(place: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in a function or module, but for the functions in it."""
    for node in ast.iter_child_nodes(place):
        yield node
        if not isinstance(node, FUNCTIONS):
            yield from within(node)


def pieces(node: ast.AST, texts: dict[str, ast.expr]) -> Iterator[ast.AST]:
    """Yield what a text is put together of. texts: the module's constants by name."""
    match node:
        case ast.JoinedStr(values=inner):
            inside: list[ast.AST] = [getattr(one, "value", one) for one in inner if not literal(one)]
            inside += [one for one in inner if literal(one)]
        case ast.BinOp(left=left, op=ast.Add() | ast.Mod() | ast.Mult(), right=right):
            inside = [left, right]
        case ast.IfExp(body=left, orelse=right):
            inside = [left, right]
        case ast.Call(func=ast.Attribute(attr="format" | "format_map", value=text)):
            inside = [text, *node.args, *(one.value for one in node.keywords)]
        case ast.Call(func=ast.Attribute(attr="join", value=between), args=[each]):
            inside = [between, each] if isinstance(between, TEXTS) else [each]
        case ast.GeneratorExp(elt=each, generators=loops) | ast.ListComp(elt=each, generators=loops):
            inside = [each, *(one.iter for one in loops if isinstance(one.iter, ast.List | ast.Tuple))]
        case ast.Starred(value=each):
            inside = [each]
        case ast.List(elts=several) | ast.Tuple(elts=several):
            inside = list(several)
        case ast.Name(id=name) if name in texts:
            inside, texts = [texts[name]], {other: texts[other] for other in texts if other != name}
        case _:
            yield node
            return
    for one in inside:
        yield from pieces(one, texts)


def fixed(node: ast.AST) -> bool:
    """Say whether a value is ours, whatever anybody sends: a constant, or made of constants alone."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name) if name.strip("_").isupper():
            return True
        case ast.Attribute(attr="db_table", value=ast.Attribute(attr="_meta")):
            return True
        case ast.Call():
            return bool(node.args) and not node.keywords and all(literal(one) for one in node.args)
    return False


def test_sql_is_put_together_of_constants_or_what_somebody_looked_at() -> None:
    # Migrations are given nothing by anybody.
    found = {module: set(put_in(tree)) for module, tree in code().items() if ".migrations." not in module}
    assert {module: put for module, put in found.items() if put} == PUT_IN


@pytest.mark.parametrize(
    "bad",
    [
        "cursor.execute(f'SELECT 1 FROM job WHERE name = {name}')",
        "sql = f'delete from {name} '",
        "sql = 'UPDATE job SET x = %s' % name",
        "sql = 'INSERT INTO job VALUES ({})'.format(name)",
        "sql = 'SELECT ' + name",
        "sql = 'SELECT ' + ', '.join(name)",
        "sql = f\"SELECT {', '.join(one for one in name)}\"",
        "TEXT = 'SELECT {x}'\ndef f(): return TEXT.format(x=name)",
        "Job.objects.raw(f'{name};')",
        "migrations.RunSQL('vacuum ' + name)",
        "sql.SQL(f'LOCK {name}')",
        "cursor.execute(sql=f'LOCK {name}')",
        "Job.objects.raw(raw_query='LOCK ' + name)",
        "sql = 'SELECT 1'\nsql += name",
        "def f():\n sql: str = 'SELECT 1'\n if x:\n  sql += f' AND {name}'",
        "sql = ' '.join(['SELECT', name])",
        "sql = ' '.join(('DELETE FROM', *[name]))",
        "sql = AND.join(['SELECT 1 WHERE x', name])",
        "sql = ' '.join([one for one in ('SELECT', name)])",
    ],
)
def test_the_search_for_sql_that_is_put_together_finds_it(bad: str) -> None:
    assert set(put_in(ast.parse(bad))) & {"name", "one"}


@pytest.mark.parametrize(
    "good",
    [
        "cursor.execute('SELECT 1 WHERE name = %s', [name])",
        "cursor.execute(f'SELECT 1 FROM {TABLE} LIMIT {MOST}')",
        "cursor.execute(f'DELETE FROM {Job._meta.db_table}')",
        "sql.SQL('SELECT {x}').format(x=sql.Identifier(name))",
        "log.info(f'{name} was not there')",
    ],
)
def test_the_search_for_sql_that_is_put_together_finds_nothing_else(good: str) -> None:
    assert list(put_in(ast.parse(good))) == []
