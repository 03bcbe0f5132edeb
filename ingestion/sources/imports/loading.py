"""Write staged rows into the register, a span at a time: passed on as they are, or by one statement."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, connection, transaction
from psycopg import sql

from config.statements import execute
from ingestion.sources.imports import passing
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.definition import PERIOD, Mode
from ingestion.sources.imports.models import Import, Unit
from ingestion.sources.imports.records import Span
from ingestion.sources.imports.rowtext import SEPARATOR

LOCK = 5  # first key of the advisory lock; 1 to 3 are the engine's, 4 is that of analytics


@dataclass(frozen=True)
class Loaded:
    """What became of the rows of a span. skipped: another import had changed the register meanwhile."""

    created: int
    updated: int
    skipped: int = 0


def load(imported: Import, span: Span) -> Loaded:
    """Write the units of a span's good rows, in the current transaction.

    A row without a period is about the unit's newest one. Columns the file lacks stay as they are, except
    where the definition's mode is to replace.
    """
    columns = Columns.of(imported)
    lines = passing.lines_of(columns, imported.pk, span)
    # Good rows that are no lines are written after those: out of the order in which others meet the units.
    mixed = lines is not None and bool(lines.rest)
    execute(_ALONE if mixed or is_alone(columns) else _TOGETHER, [LOCK])
    copied = passing.copy(columns, imported.pk, span, lines) if lines is not None else None
    if copied is not None and not mixed:
        return Loaded(copied, 0)
    rows = sql.SQL(_NOTED if copied is not None else _ALL_ROWS).format(
        pk=sql.Literal(imported.pk), first=sql.Literal(span.row), last=sql.Literal(span.last)
    )
    total, created, updated = _make(columns, imported.pk, rows) or _run(_written(columns, imported.pk, rows))
    if columns.has("valid_from"):
        writer = sql.Literal(imported.pk)
        _run(_END_EARLIER.format(tax_ident=columns.value("tax_ident"), rows=rows, writer=writer))
    return Loaded(created + (copied or 0), updated, total - created - updated)


def is_alone(columns: Columns) -> bool:
    """Say whether nothing else may be loaded at the same time.

    Of two spans that make periods of one unit at once, neither would see what the other has to end. So of
    unique values: neither would see the other's.
    """
    return any(map(columns.has, PERIOD)) or bool(columns.unique())


_NOTED = "import_id = {pk} AND span IS NULL AND number BETWEEN {first} AND {last} AND errors IS NULL"
_ALL_ROWS = (
    "import_id = {pk} AND (span IS NULL OR span = {first}) AND number BETWEEN {first} AND {last}"
    " AND errors IS NULL"
)


def _make(columns: Columns, import_id: int, rows: sql.Composable) -> tuple[int, int, int] | None:
    """Write rows of units that are all new, at half the work; return None where some are known."""
    if columns.definition.mode == Mode.UPDATE or columns.unique():
        return None
    (any_known,) = _run(_ANY_KNOWN.format(tax_ident=columns.value("tax_ident"), rows=rows))
    if any_known:
        return None
    with connection.cursor() as cursor:
        try:
            with transaction.atomic():
                cursor.execute(_inserted(columns, import_id, rows).as_string(cursor.connection))
        except IntegrityError:  # another import has just made one of them
            return None
        return cursor.rowcount, cursor.rowcount, 0


# Files in the order of their identifiers need one look for all. Others need one for each row: in the select
# list, as a join would be a pass over the register.
_ANY_KNOWN = sql.SQL(
    """
    WITH said AS MATERIALIZED (SELECT {tax_ident} AS ident FROM imports_importrow WHERE {rows})
    SELECT CASE WHEN EXISTS (
        SELECT FROM imports_unit WHERE tax_ident BETWEEN (SELECT min(ident) FROM said)
            AND (SELECT max(ident) FROM said)
    ) THEN (
        SELECT coalesce(bool_or((SELECT true FROM imports_unit WHERE tax_ident = ident LIMIT 1)), false)
        FROM said
    ) ELSE false END
    """
)
_ALONE = "SELECT pg_advisory_xact_lock(%s, 0)"
_TOGETHER = "SELECT pg_advisory_xact_lock_shared(%s, 0)"


def known(columns: Columns) -> sql.Composable:
    """Return SQL that says of a staged row whether the register has its unit in its period."""
    return sql.SQL("EXISTS (SELECT FROM imports_unit AS unit WHERE {})").format(is_of(columns, "unit"))


def is_of(columns: Columns, unit: str) -> sql.Composable:
    """Return SQL that says whether a staged row would update a unit. The preview counts with it.

    unit: the alias of the register's table. It says what `_newest` and the unique constraint come to.
    """
    return sql.SQL(
        "{unit}.tax_ident = {ident} AND ({unit}.valid_from IS NOT DISTINCT FROM {starts} OR {undated})"
    ).format(
        unit=sql.Identifier(unit),
        ident=columns.value("tax_ident"),
        starts=columns.typed("valid_from"),
        undated=undated(columns),
    )


def undated(columns: Columns) -> sql.Composable:
    """Return SQL that says of a staged row whether it has no period."""
    ends = [sql.SQL("{} IS NULL").format(columns.typed(name)) for name in PERIOD if columns.has(name)]
    return sql.SQL("({})").format(sql.SQL(" AND ").join(ends)) if ends else sql.SQL("true")


def _inserted(columns: Columns, import_id: int, rows: sql.Composable) -> sql.Composable:
    """Return SQL that writes rows all of whose units are new."""
    starts = columns.typed("valid_from") if columns.has("valid_from") else sql.SQL("NULL::date")
    values = _values(columns, import_id, starts)
    inserted = values | _others(columns, values)
    return _insert(inserted, rows, sql.SQL("true"), sql.SQL(""))


def _written(columns: Columns, import_id: int, rows: sql.Composable) -> sql.Composable:
    """Return SQL that writes rows into the register, and tells how many there are, made and updated."""
    starts = columns.typed("valid_from") if columns.has("valid_from") else sql.SQL("NULL::date")
    targets = _values(columns, import_id, sql.SQL("coalesce({}, {})").format(starts, _newest(columns)))
    whole = columns.definition.mode == Mode.REPLACE
    updated = _ALL if whole else [name for name in targets if name not in (*_KEY, "extra")]
    sets: list[sql.Composable] = [
        sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in updated
    ]
    if not whole:
        sets.append(sql.SQL("extra = imports_unit.extra || EXCLUDED.extra"))
    what: sql.Composable = sql.SQL("NOTHING")
    if columns.definition.mode != Mode.INSERT:
        what = sql.SQL("UPDATE SET {}, loaded_at = statement_timestamp()").format(sql.SQL(", ").join(sets))
    inserted = targets | _others(columns, targets)
    conflict = sql.SQL(_CONFLICT).format(what)
    return sql.SQL(_TOLD).format(rows=rows, insert=_insert(inserted, rows, _fitting(columns), conflict))


def _values(columns: Columns, import_id: int, starts: sql.Composable) -> dict[str, sql.Composable]:
    """Return what the file, or the job, says of each row, by the register's columns."""
    found = {match.target: columns.typed(match.target) for match in columns.matches}
    found |= {name: columns.typed(name) for name in columns.given}
    return found | {
        "valid_from": starts,
        "extra": _extra(columns),
        "loaded_by_id": sql.Literal(import_id),
    }


def _others(columns: Columns, said: Mapping[str, Any]) -> dict[str, sql.Composable]:
    """Return what the file does not say, and a new unit has."""
    defaults = {one.name: columns.typed(one.name) for one in columns.definition.columns if one.default}
    found: dict[str, sql.Composable] = {name: sql.Literal("") for name in _TEXTS} | defaults
    return {name: value for name, value in found.items() if name not in said}


def _insert(
    inserted: Mapping[str, sql.Composable],
    rows: sql.Composable,
    fitting: sql.Composable,
    conflict: sql.Composable,
) -> sql.Composable:
    return sql.SQL(_WRITE).format(
        names=sql.SQL(", ").join(map(sql.Identifier, inserted)),
        values=sql.SQL(", ").join(inserted.values()),
        rows=rows,
        fitting=fitting,
        tax_ident=inserted["tax_ident"],
        conflict=conflict,
    )


# Ordered, so that two imports meet the same units in the same order.
_WRITE = """
    INSERT INTO imports_unit ({names})
    SELECT {values} FROM imports_importrow AS staged WHERE {rows} AND {fitting}
    ORDER BY {tax_ident} COLLATE "C", number
    {conflict}
"""
_TOLD = """
    WITH written AS ({insert} RETURNING xmax = 0 AS is_new)
    SELECT (SELECT count(*) FROM imports_importrow WHERE {rows}),
        count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
"""
_CONFLICT = "ON CONFLICT (tax_ident, valid_from) DO {}"
_KEY = ("tax_ident", "valid_from")
_ALL = [
    field.attname for field in Unit._meta.concrete_fields if field.attname not in ("id", "loaded_at", *_KEY)
]
_TEXTS = [
    field.attname
    for field in Unit._meta.concrete_fields
    if field.get_internal_type() in ("CharField", "TextField") and field.attname != "tax_ident"
]


def _fitting(columns: Columns) -> sql.Composable:
    """Return SQL for which rows still fit the register: it may have changed since the check."""
    conditions: list[sql.Composable] = []
    match columns.definition.mode:
        case Mode.INSERT:
            conditions.append(sql.SQL("NOT {}").format(known(columns)))
        case Mode.UPDATE:
            conditions.append(known(columns))
    if any(map(columns.has, PERIOD)):
        starts, ends = period(columns)
        loses = sql.SQL(LOSES).format(starts=starts, ends=ends)
        is_lost = sql.SQL(
            "EXISTS (SELECT FROM imports_unit AS unit WHERE unit.tax_ident = {} AND {})"
        ).format(columns.value("tax_ident"), loses)
        conditions.append(sql.SQL("({} OR NOT {})").format(undated(columns), is_lost))
    for column in columns.unique():
        taken = sql.SQL(TAKEN).format(
            column=sql.Identifier(column.name),
            value=columns.typed(column.name),
            tax_ident=columns.value("tax_ident"),
        )
        conditions.append(sql.SQL("NOT EXISTS (SELECT FROM imports_unit AS unit WHERE {})").format(taken))
    return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")


def period(columns: Columns) -> tuple[sql.Composable, sql.Composable]:
    """Return SQL for a staged row's first and last day; what is open is infinite."""
    return (
        sql.SQL("coalesce({}, '-infinity')").format(columns.typed("valid_from")),
        sql.SQL("coalesce({}, 'infinity')").format(columns.typed("valid_to")),
    )


# What a staged row must not meet among the units, when it is checked and again when it is loaded.
#
# The earlier of two periods is ended where the later begins, unless that would lose what was said of a time
# after it: of the register's, when it goes on after the row; of the row's, when it says its end.
LOSES = """(
    coalesce(unit.valid_from, '-infinity') < {starts} AND unit.valid_to >= {starts} AND unit.valid_to > {ends}
    OR coalesce(unit.valid_from, '-infinity') > {starts} AND unit.valid_from <= {ends} AND {ends} < 'infinity'
)"""
# Another unit's unique value. What is empty is nobody's.
TAKEN = """unit.{column} = {value} AND unit.{column}::text <> '' AND unit.tax_ident <> {tax_ident}"""


def _newest(columns: Columns) -> sql.Composable:
    return sql.SQL(
        "(SELECT max(unit.valid_from) FROM imports_unit AS unit WHERE unit.tax_ident = {} AND {})"
    ).format(columns.value("tax_ident"), undated(columns))


def _extra(columns: Columns) -> sql.Composable:
    unknown = columns.unknown()
    if not unknown:
        return sql.SQL("'{}'::jsonb")
    return sql.SQL(
        "(SELECT coalesce(jsonb_object_agg(known.name, cell.text), '{{}}')"
        " FROM unnest(string_to_array(staged.cells, {})) WITH ORDINALITY AS cell (text, place)"
        " JOIN unnest({}::int[], {}::text[]) AS known (place, name) ON known.place = cell.place"
        " WHERE btrim(cell.text) <> '')"
    ).format(
        sql.Literal(SEPARATOR),
        sql.Literal([place + 1 for place in unknown]),
        sql.Literal(list(unknown.values())),
    )


# A later period ends the one before it: periods of one identifier never overlap. Who moves an end has written
# the row, as who updates one has.
_END_EARLIER = sql.SQL(
    """
    UPDATE imports_unit AS unit SET valid_to = later.ends, loaded_by_id = {writer},
        loaded_at = statement_timestamp()
    FROM (
        SELECT tax_ident, valid_from, valid_to,
            lead(valid_from) OVER (PARTITION BY tax_ident ORDER BY valid_from NULLS FIRST) - 1 AS ends
        FROM imports_unit
        WHERE tax_ident IN (SELECT {tax_ident} FROM imports_importrow WHERE {rows})
    ) AS later
    WHERE later.ends IS NOT NULL AND (later.valid_to IS NULL OR later.valid_to > later.ends)
        AND unit.tax_ident = later.tax_ident AND unit.valid_from IS NOT DISTINCT FROM later.valid_from
    """
)


def _run(query: sql.Composable) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query.as_string(cursor.connection))
        return cursor.fetchone() if cursor.description else None
