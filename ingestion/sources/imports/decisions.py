"""What people decide about a file's problems: one decision a cause, for all its rows, until it is approved.

A decision changes staged rows, never the register. What it takes away is kept in the row (`settled`), under
the cause's key, so that another decision starts from what the file says: {key: {level, column, problem, had,
was}}, had and was: the cell's fixed text before; without a problem, the row was left out for a warning.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from psycopg import sql
from psycopg.types.json import Jsonb

from ingestion import lifecycle
from ingestion.access import can_act
from ingestion.admission import not_waiting
from ingestion.clock import read_clock
from ingestion.history import Note
from ingestion.models import ItemState, Job, JobItem, State
from ingestion.source import SourceError
from ingestion.sources.imports import checks, dates, preview, rowtext, together
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.deadline import within
from ingestion.sources.imports.definition import Column
from ingestion.sources.imports.models import Import
from ingestion.sources.imports.values import BLANKS, DAY_OR_MONTH

LABELS = {
    "leave_out": "Leave these rows out",
    "keep": "Import anyway",
    "last": "Keep the last one",
    "empty": "Set the cell empty",
    "value": "Use another value",
    "map": "Use codes for them",
    "day_first": "Read as day/month/year",
    "month_first": "Read as month/day/year",
}
MAX_VALUE = 500  # characters
# What may be said to each question; `approve` of columns takes them as they are proposed.
ANSWERS = {"upload": ("upload",), "match": ("match", "approve"), "review": ("approve",)}

Texts = dict[str, str | None] | str | None  # what cells will say: one text for each, one for all, or nothing
Taken = tuple[Mapping[str, Any], str, Texts]  # a cause, the choice about it, and what its cells will say
MAX_MAPPED = 100  # values of one cause
SECONDS = 55  # that a decision over millions of rows may take: proxies wait for an answer for 60


def may_decide(user: Any, imported: Import) -> bool:
    """Say whether this user may decide about an import that they see."""
    return imported.job is not None and (can_act(user, imported.job) or user.has_perm("imports.review"))


def is_begun(imported: Import) -> bool:
    """Say whether a part of the rows is loaded: what became of these cannot be decided any more."""
    items = JobItem.objects.filter(job=imported.job_id, step="load", state=ItemState.DONE)
    return imported.job_id is not None and items.exists()


def choices(imported: Import, cause: Mapping[str, Any]) -> list[str]:
    """Return what can be decided about a cause; the first is so as long as nobody has decided."""
    column = column_of(imported, cause["column"])
    found = ["leave_out"] if cause["level"] == "error" else ["keep", "leave_out"]
    if cause["code"] == DAY_OR_MONTH:
        return (
            [*found, "month_first"]
            if cause["level"] == "error"
            else ["day_first", "month_first", "leave_out"]
        )
    if cause["code"] in together.CODES:
        return [*found, "last"] if cause["code"] == "appears_twice" else found
    if column is not None:
        found += ["empty"] if column.default or not column.required else []
        found += ["value", *(["map"] if column.type == "enum" else [])]
    return found


def chosen(imported: Import, cause: Mapping[str, Any]) -> str:
    """Return what is decided about a cause, or what happens without a decision."""
    decided = imported.decisions.get(cause["key"])
    return decided["choice"] if decided else choices(imported, cause)[0]


def decide(imported: Import, key: str, choice: str, value: Any, revision: int | None, by: Any) -> Import:
    """Decide what becomes of the rows of a cause, and count anew.

    value: the text of `value`, or {text: code} of `map`. revision: what its user saw, None: whatever it is.
    Raises Refused when nothing is to be decided any more, SourceError: not_found, changed_meanwhile,
    validation_failed, too_slow.
    """
    with transaction.atomic(), within(SECONDS):
        job = Job.objects.select_for_update().filter(imports=imported).first()
        if job is None:
            raise SourceError("not_found", "There is nothing to decide.")
        if job.state != State.WAITING or (job.waiting_for or {}).get("kind") != "review":
            raise not_waiting(job)
        imported = Import.objects.select_for_update().get(pk=imported.pk)
        check_revision(imported, revision)
        if is_begun(imported):
            text = "A part of this file is loaded already. Approve the rest, or reject it."
            raise SourceError("validation_failed", text)
        cause = next((one for one in imported.problems if one["key"] == key), None)
        if cause is None:
            raise SourceError("not_found", "There is no such problem.")
        if choice not in choices(imported, cause):
            raise SourceError("validation_failed", "This cannot be decided about this problem.")
        taken = [(cause, choice, _texts(imported, cause, choice, value)), *_with_it(imported, cause, choice)]
        said = {"by": by.get_username(), "at": read_clock().isoformat()}
        for one, given, _ in taken:
            kept = value if given in ("value", "map") else None
            imported.decisions[one["key"]] = {"choice": given, "value": kept, **said}
        imported.revision += 1
        imported.save(update_fields=["decisions", "revision"])
        _apply(imported, taken)
        preview.count(imported)
        column = f"{cause['column']} " if cause["column"] else ""
        told = f"{LABELS[choice]}: {column}{cause['text']}, by {by.get_username()}"
        lifecycle.note(job, Note("decided", told, data={"cause": key, "choice": choice}))
    imported.refresh_from_db()
    return imported


def _with_it(imported: Import, cause: Mapping[str, Any], choice: str) -> list[Taken]:
    """Return what else is decided: all dates of a column have the month first, or none of them."""
    if cause["code"] != DAY_OR_MONTH:
        return []
    same = (cause["column"], DAY_OR_MONTH)
    others = [one for one in imported.problems if one is not cause and (one["column"], one["code"]) == same]
    if choice == "month_first":
        return [(one, choice, None) for one in others]
    return [
        (one, choices(imported, one)[0], None) for one in others if chosen(imported, one) == "month_first"
    ]


def check_word(kind: str, answer: str, data: Mapping[str, Any]) -> None:
    """Refuse words that do not answer the question, and rejections without a reason. Raises SourceError."""
    if answer == "reject":
        if not str(data.get("reason") or "").strip():
            raise SourceError("validation_failed", "Say why, so that it can be put right.")
    elif answer not in ANSWERS[kind]:
        raise SourceError("validation_failed", f"Answer {' or '.join([*ANSWERS[kind], 'reject'])}.")


def check_revision(imported: Import, revision: int | None) -> None:
    """Refuse what was said about something else than what stands. Raises SourceError changed_meanwhile."""
    if revision is not None and revision != imported.revision:
        raise SourceError(
            "changed_meanwhile", "This has changed since you opened the page, so nothing was done."
        )


def read_revision(value: Any) -> int:
    """Return a revision as a form, a command or a program writes it; -1, which nothing has, for nonsense."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def column_of(imported: Import, header: str) -> Column | None:
    """Return the target column that a column of the file was matched to, or None."""
    target = next((match.target for match in imported.matches if match.header == header), None)
    return imported.rules.column(target) if target else None


def _texts(imported: Import, cause: Mapping[str, Any], choice: str, value: Any) -> Texts:
    """Return what the cells will say: one text for all, one for each text, or nothing."""
    column = column_of(imported, cause["column"])
    if choice not in ("value", "map") or column is None:
        return None
    if choice == "value":
        return _read(imported, value, column)
    if not isinstance(value, Mapping) or not 0 < len(value) <= MAX_MAPPED:
        raise SourceError("validation_failed", f"Give codes for 1 to {MAX_MAPPED} values.")
    return {str(text).strip(BLANKS): _read(imported, code, column) for text, code in value.items()}


def _read(imported: Import, text: Any, column: Column) -> str | None:
    if not isinstance(text, str) or len(text) > MAX_VALUE or "\0" in text or not text.strip(BLANKS):
        raise SourceError("validation_failed", "Give a value.")
    verdict = checks.judge(text, column, imported.rules)
    if verdict is not None and verdict.error is not None:
        raise SourceError("validation_failed", f'"{text}" {verdict.error["text"]}.')
    return verdict.fixed[0] if verdict is not None and verdict.fixed is not None else text.strip(BLANKS)


def _apply(imported: Import, taken: Sequence[Taken]) -> None:
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
