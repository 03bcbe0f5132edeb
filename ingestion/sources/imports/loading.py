"""Write staged rows into the register, a range of rows at a time, with one statement each."""

from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, connection, transaction
from psycopg import sql

from config.statements import execute
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.definition import PERIOD, Mode
from ingestion.sources.imports.models import Import, Unit
from ingestion.sources.imports.rowtext import SEPARATOR

LOCK = 5  # first key of the advisory lock; 1 to 3 are the engine's, 4 is that of analytics


@dataclass(frozen=True)
class Loaded:
    """What became of a range of rows. skipped: another import had changed the register meanwhile."""

    created: int
    updated: int
    skipped: int = 0


def load(imported: Import, first: int, last: int) -> Loaded:
    """Write the units of the good rows from `first` to `last`, in the current transaction.

    A row without a period is about the unit's newest one. Columns the file lacks stay as they are, except
    where the definition's mode is to replace.
    """
    columns = Columns.of(imported)
    rows = sql.SQL("import_id = {} AND number BETWEEN {} AND {} AND errors IS NULL").format(
        sql.Literal(imported.pk), sql.Literal(first), sql.Literal(last)
    )
    # Of two imports that make periods of one unit at once, neither would see what the other has to end.
    execute(_ALONE if any(map(columns.has, PERIOD)) else _TOGETHER, [LOCK])
    total, created, updated = _make(columns, imported.pk, rows) or _run(_written(columns, imported.pk, rows))
    if columns.has("valid_from"):
        writer = sql.Literal(imported.pk)
        _run(_END_EARLIER.format(tax_ident=columns.value("tax_ident"), rows=rows, writer=writer))
    return Loaded(created, updated, total - created - updated)


def _make(columns: Columns, import_id: int, rows: sql.Composable) -> tuple[int, int, int] | None:
    """Write rows of units that are all new, at half the work; return None where some are known."""
    if columns.definition.mode == Mode.UPDATE:
        return None
    # A look-up in the select list is one for each row. As a join it would be a pass over the register.
    (any_known,) = _run(_ANY_KNOWN.format(tax_ident=columns.value("tax_ident"), rows=rows))
    if any_known:
        return None
    try:
        with transaction.atomic():
            made: tuple[int, int, int] = _run(_written(columns, import_id, rows, all_new=True))
    except IntegrityError:  # another import has just made one of them
        return None
    return made


_ANY_KNOWN = sql.SQL(
    """
    SELECT coalesce(bool_or((SELECT true FROM imports_unit WHERE tax_ident = {tax_ident} LIMIT 1)), false)
    FROM imports_importrow WHERE {rows}
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


def _written(
    columns: Columns, import_id: int, rows: sql.Composable, *, all_new: bool = False
) -> sql.Composable:
    targets = {match.target: columns.typed(match.target) for match in columns.matches}
    targets |= {name: columns.typed(name) for name in columns.given}
    starts = targets.get("valid_from", sql.SQL("NULL::date"))
    targets["valid_from"] = (
        starts if all_new else sql.SQL("coalesce({}, {})").format(starts, _newest(columns))
    )
    targets["extra"] = _extra(columns)
    targets["loaded_by_id"] = sql.Literal(import_id)
    # Of a new unit only: the file does not say it.
    others = {one.name: columns.typed(one.name) for one in columns.definition.columns if one.default}
    others = {name: sql.Literal("") for name in _TEXTS} | others
    others = {name: value for name, value in others.items() if name not in targets}
    whole = columns.definition.mode == Mode.REPLACE
    inserted = targets | others
    updated = _ALL if whole else [name for name in targets if name not in (*_KEY, "extra")]
    sets: list[sql.Composable] = [
        sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in updated
    ]
    if not whole:
        sets.append(sql.SQL("extra = imports_unit.extra || EXCLUDED.extra"))
    what: sql.Composable = sql.SQL("NOTHING")
    if columns.definition.mode != Mode.INSERT:
        what = sql.SQL("UPDATE SET {}, loaded_at = statement_timestamp()").format(sql.SQL(", ").join(sets))
    return sql.SQL(_WRITE).format(
        names=sql.SQL(", ").join(map(sql.Identifier, inserted)),
        values=sql.SQL(", ").join(inserted.values()),
        rows=rows,
        fitting=sql.SQL("true") if all_new else _fitting(columns),
        tax_ident=targets["tax_ident"],
        conflict=sql.SQL("") if all_new else sql.SQL(_CONFLICT).format(what),
    )


# Ordered, so that two imports meet the same units in the same order.
_WRITE = """
    WITH written AS (
        INSERT INTO imports_unit ({names})
        SELECT {values} FROM imports_importrow AS staged WHERE {rows} AND {fitting}
        ORDER BY {tax_ident}, number
        {conflict}
        RETURNING xmax = 0 AS is_new
    ) SELECT (SELECT count(*) FROM imports_importrow WHERE {rows}),
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
    """Return SQL for which rows the mode takes: the register may have changed since the check."""
    match columns.definition.mode:
        case Mode.INSERT:
            return sql.SQL("NOT {}").format(known(columns))
        case Mode.UPDATE:
            return known(columns)
        case _:
            return sql.SQL("true")


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
        SELECT id, lead(valid_from) OVER (PARTITION BY tax_ident ORDER BY valid_from NULLS FIRST) - 1 AS ends
        FROM imports_unit
        WHERE tax_ident IN (SELECT {tax_ident} FROM imports_importrow WHERE {rows})
    ) AS later
    WHERE unit.id = later.id AND later.ends IS NOT NULL
        AND (unit.valid_to IS NULL OR unit.valid_to > later.ends)
    """
)


def _run(query: sql.Composable) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query.as_string(cursor.connection))
        return cursor.fetchone() if cursor.description else None
