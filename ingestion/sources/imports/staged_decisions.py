"""What decisions do to the staged rows of an import; the register is not touched.

What one takes away is kept in the row (`settled`), under the cause's key, so that another decision starts
from what the file says: {key: {level, column, problem, had, was}}, had and was: the cell's fixed text before;
without a problem, the row was left out for a warning.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from psycopg import sql
from psycopg.types.json import Jsonb

from ingestion.sources.imports import dates, rowtext, together
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.models import Import
from ingestion.sources.imports.values import BLANKS

Texts = dict[str, str | None] | str | None  # what cells will say: one text for each, one for all, or nothing
Taken = tuple[Mapping[str, Any], str, Texts]  # a cause, the choice about it, and what its cells will say


def apply(imported: Import, taken: Sequence[Taken]) -> None:
    """Change the staged rows: from what the file says, with what was decided about the other causes."""
    columns = Columns.of(imported)
    marked = {"pk": sql.Literal(imported.pk), "ident": columns.value("tax_ident")}
    _execute(_BEFORE, **marked)
    _execute(_FORGET_TOGETHER, pk=marked["pk"], codes=sql.Literal(list(together.CODES)))
    for cause, choice, texts in taken:
        if cause["code"] not in together.CODES:
            _change(imported, cause, choice, texts)
    _execute(_AFTER, **marked)
    _compare(imported, columns, "decided")


def compare_again(imported: Import) -> None:
    """Compare all rows with each other and the register anew, with what was decided about them."""
    _execute(_FORGET_TOGETHER, pk=sql.Literal(imported.pk), codes=sql.Literal(list(together.CODES)))
    _compare(imported, Columns.of(imported), "")


def _compare(imported: Import, columns: Columns, among: str) -> None:
    together.check_together(imported, among)
    for key, decided in imported.decisions.items():
        if decided["choice"] == "last":
            parts = {"pk": sql.Literal(imported.pk), "key": sql.Literal(key)}
            _execute(_KEEP_LAST, **parts, ident=columns.value("tax_ident"))
            together.check_together(imported, among)  # what was kept must fit the register too


def _change(imported: Import, cause: Mapping[str, Any], choice: str, texts: Texts) -> None:
    common: dict[str, sql.Composable] = {
        "pk": sql.Literal(imported.pk),
        "key": sql.Literal(cause["key"]),
        "column": sql.Literal(cause["column"]),
        "code": sql.Literal(cause["code"]),
        "level": sql.Literal(cause["level"]),
        "list": sql.Identifier("errors" if cause["level"] == "error" else "warnings"),
    }
    _execute(_TAKE_BACK, **common, place=sql.Literal(_place(imported, cause)))
    if cause["level"] == "warning" and choice == "leave_out":
        _execute(_LEAVE_OUT, **common)
    elif choice in ("empty", "value", "map", "month_first"):
        _execute(_FIX, **common, **_fix(imported, cause, choice, texts))


def _place(imported: Import, cause: Mapping[str, Any]) -> str:
    header = cause["column"]
    return str(imported.header.index(header)) if header in imported.header else ""


def _fix(imported: Import, cause: Mapping[str, Any], choice: str, texts: Texts) -> dict[str, sql.Composable]:
    place = _place(imported, cause)
    new: sql.Composable
    among: sql.Composable
    cell = sql.SQL("btrim({}, {})").format(rowtext.cell(int(place)), sql.Literal(BLANKS))
    if choice == "month_first":
        new, among = dates.month_first(cell), sql.SQL("true")
    elif isinstance(texts, dict):
        codes = sql.Literal(Jsonb(texts))
        new = sql.SQL("{} ->> {}").format(codes, cell)
        among = sql.SQL("{} ? {}").format(codes, cell)
    else:
        new, among = sql.Literal(texts), sql.SQL("true")
    return {"place": sql.Literal(place), "new": new, "among": among}


def _execute(statement: str, **parts: sql.Composable) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(**parts).as_string(cursor.connection))


# Whose rows may have changed: none without a mark, and every mark that is new is of one of these identifiers.
_BEFORE = """
    CREATE TEMP TABLE decided ON COMMIT DROP AS
    SELECT {ident} AS ident FROM imports_notedrow
    WHERE import_id = {pk} AND (errors IS NOT NULL OR warnings IS NOT NULL OR settled IS NOT NULL)
"""
_AFTER = """
    INSERT INTO decided SELECT {ident} FROM imports_notedrow
    WHERE import_id = {pk} AND (errors IS NOT NULL OR warnings IS NOT NULL OR settled IS NOT NULL);
    ANALYZE decided
"""
# What comparing all rows had found is found anew afterwards. What was kept of it is kept anew too.
_FORGET_TOGETHER = """
    UPDATE imports_notedrow SET errors = (
            SELECT jsonb_object_agg(key, value) FROM jsonb_each(errors)
            WHERE NOT value ->> 'code' = ANY ({codes})
        )
    WHERE import_id = {pk} AND errors IS NOT NULL AND EXISTS (
        SELECT FROM jsonb_each(errors) WHERE value ->> 'code' = ANY ({codes})
    );
    UPDATE imports_notedrow SET settled = (
            SELECT jsonb_object_agg(key, value) FROM jsonb_each(settled)
            WHERE NOT coalesce(value -> 'problem' ->> 'code' = ANY ({codes}), false)
        )
    WHERE import_id = {pk} AND settled IS NOT NULL AND EXISTS (
        SELECT FROM jsonb_each(settled) WHERE value -> 'problem' ->> 'code' = ANY ({codes})
    )
"""
_TAKE_BACK = """
    UPDATE imports_notedrow SET
        {list} = CASE WHEN settled -> {key} ? 'problem'
            THEN coalesce({list}, '{{}}') || jsonb_build_object({column}::text, settled -> {key} -> 'problem')
            ELSE {list} END,
        fixed = nullif(CASE WHEN NOT settled -> {key} ? 'problem' THEN fixed
            WHEN (settled -> {key} ->> 'had')::boolean
            THEN fixed || jsonb_build_object({place}::text, settled -> {key} -> 'was')
            ELSE fixed - {place}::text END, '{{}}'),
        settled = nullif(settled - {key}::text, '{{}}')
    WHERE import_id = {pk} AND settled IS NOT NULL AND settled ? {key};
    UPDATE imports_notedrow SET errors = nullif(errors - {column}::text, '{{}}')
    WHERE import_id = {pk} AND errors IS NOT NULL AND {level} = 'warning'
        AND errors -> {column} ->> 'code' = {code} AND errors -> {column} ? 'left_out'
"""
_LEAVE_OUT = """
    UPDATE imports_notedrow SET
        errors = coalesce(errors, '{{}}') || jsonb_build_object(
            {column}::text, (warnings -> {column}) || '{{"left_out": true}}'
        ),
        settled = coalesce(settled, '{{}}') || jsonb_build_object({key}::text, '{{"left_out": true}}'::jsonb)
    WHERE import_id = {pk} AND warnings IS NOT NULL AND warnings -> {column} ->> 'code' = {code}
"""
_FIX = """
    UPDATE imports_notedrow SET
        settled = coalesce(settled, '{{}}') || jsonb_build_object({key}::text, jsonb_build_object(
            'level', {level}::text, 'column', {column}::text, 'problem', {list} -> {column},
            'had', coalesce(fixed ? {place}, false), 'was', fixed -> {place}
        )),
        fixed = coalesce(fixed, '{{}}') || jsonb_build_object({place}::text, {new}),
        {list} = nullif({list} - {column}::text, '{{}}')
    WHERE import_id = {pk} AND {list} IS NOT NULL AND {list} -> {column} ->> 'code' = {code} AND {among}
"""
_KEEP_LAST = """
    UPDATE imports_notedrow AS target SET errors = NULL,
        settled = coalesce(target.settled, '{{}}') || jsonb_build_object({key}::text, jsonb_build_object(
            'level', 'error', 'column', last.name, 'problem', last.problem
        ))
    FROM (
        SELECT DISTINCT ON (ident) number, name, problem FROM (
            SELECT number, {ident} AS ident, found.key AS name, found.value AS problem
            FROM imports_notedrow, jsonb_each(errors) AS found
            WHERE import_id = {pk} AND errors IS NOT NULL AND found.value ->> 'code' = 'appears_twice'
        ) AS twice ORDER BY ident, number DESC
    ) AS last
    WHERE target.import_id = {pk} AND target.number = last.number
"""
