"""Write staged rows into the register, a range of rows at a time, with one statement each."""

from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg import sql

from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.models import Import, Unit

_CASTS = {"date": "date", "end_date": "date", "integer": "bigint", "decimal": "numeric"}


@dataclass(frozen=True)
class Loaded:
    """What became of a range of rows."""

    created: int
    updated: int


def load(imported: Import, first: int, last: int) -> Loaded:
    """Insert or update the units of the good rows from `first` to `last`, in the current transaction.

    A row without valid_from is about the unit's newest period. Columns the file lacks stay as they are.
    """
    columns = Columns.of(imported)
    rows = sql.SQL("import_id = {} AND number BETWEEN {} AND {} AND errors IS NULL").format(
        sql.Literal(imported.pk), sql.Literal(first), sql.Literal(last)
    )
    with connection.cursor() as cursor:
        cursor.execute(_insert(columns, imported.pk, rows).as_string(cursor.connection))
        found: Any = cursor.fetchone()
        if columns.has("valid_from"):
            cursor.execute(
                _END_EARLIER.format(tax_ident=columns.value("tax_ident"), rows=rows).as_string(
                    cursor.connection
                )
            )
    return Loaded(created=found[0], updated=found[1])


def _insert(columns: Columns, import_id: int, rows: sql.Composable) -> sql.Composable:
    targets = {match.target: _value(columns, match.target) for match in columns.matches}
    targets["valid_from"] = sql.SQL("coalesce({}, {})").format(
        targets.get("valid_from", sql.SQL("NULL::date")), _newest(columns)
    )
    targets["extra"] = _extra(columns)
    targets["loaded_by_id"] = sql.Literal(import_id)
    updated = [name for name in targets if name not in ("tax_ident", "valid_from", "extra")]
    sets = [sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in updated]
    blank = [name for name in _TEXTS if name not in targets]
    return sql.SQL(
        """
        WITH written AS (
            INSERT INTO imports_unit ({names})
            SELECT {values} FROM imports_importrow AS staged WHERE {rows} ORDER BY {tax_ident}, number
            ON CONFLICT (tax_ident, valid_from) DO UPDATE
            SET {sets}, extra = imports_unit.extra || EXCLUDED.extra, loaded_at = statement_timestamp()
            RETURNING xmax = 0 AS is_new
        ) SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
        """
    ).format(
        names=sql.SQL(", ").join(sql.Identifier(name) for name in (*targets, *blank)),
        values=sql.SQL(", ").join([*targets.values(), *[sql.Literal("")] * len(blank)]),
        rows=rows,
        tax_ident=targets["tax_ident"],
        sets=sql.SQL(", ").join(sets),
    )


_TEXTS = [
    field.attname
    for field in Unit._meta.concrete_fields
    if field.get_internal_type() in ("CharField", "TextField") and field.attname != "tax_ident"
]


def _value(columns: Columns, target: str) -> sql.Composable:
    column = columns.definition.column(target)
    assert column is not None
    value = columns.value(target)
    if column.type == "end_date":  # no end is null in the register
        return sql.SQL("nullif({}, 'infinity')::date").format(value)
    if cast := _CASTS.get(column.type):
        return sql.SQL("{}::{}").format(value, sql.SQL(cast))
    return sql.SQL("coalesce({}, '')").format(value)


def is_of(columns: Columns, unit: str) -> sql.Composable:
    """Return SQL that says whether a staged row would update a unit. The preview counts with it.

    unit: the alias of the register's table. It says what `_newest` and the unique constraint come to.
    """
    return sql.SQL(
        "{unit}.tax_ident = {ident} AND ({unit}.valid_from = {starts}::date"
        " OR ({starts} IS NULL AND ({ends} IS NULL OR {unit}.valid_from IS NULL)))"
    ).format(
        unit=sql.Identifier(unit),
        ident=columns.value("tax_ident"),
        starts=columns.value("valid_from"),
        ends=columns.value("valid_to"),
    )


def _newest(columns: Columns) -> sql.Composable:
    return sql.SQL(
        "(SELECT unit.valid_from FROM imports_unit AS unit WHERE unit.tax_ident = {} AND {} IS NULL"
        " ORDER BY unit.valid_from DESC NULLS LAST LIMIT 1)"
    ).format(columns.value("tax_ident"), columns.value("valid_to"))


def _extra(columns: Columns) -> sql.Composable:
    unknown = columns.unknown()
    if not unknown:
        return sql.SQL("'{}'::jsonb")
    return sql.SQL(
        "(SELECT coalesce(jsonb_object_agg(known.name, cell.text), '{{}}')"
        " FROM jsonb_array_elements_text(staged.cells) WITH ORDINALITY AS cell (text, place)"
        " JOIN unnest({}::int[], {}::text[]) AS known (place, name) ON known.place = cell.place"
        " WHERE btrim(cell.text) <> '')"
    ).format(sql.Literal([place + 1 for place in unknown]), sql.Literal(list(unknown.values())))


# A later period ends the one before it: periods of one identifier never overlap.
_END_EARLIER = sql.SQL(
    """
    UPDATE imports_unit AS unit SET valid_to = later.ends
    FROM (
        SELECT id, lead(valid_from) OVER (PARTITION BY tax_ident ORDER BY valid_from NULLS FIRST) - 1 AS ends
        FROM imports_unit
        WHERE tax_ident IN (SELECT {tax_ident} FROM imports_importrow WHERE {rows})
    ) AS later
    WHERE unit.id = later.id AND later.ends IS NOT NULL
        AND (unit.valid_to IS NULL OR unit.valid_to > later.ends)
    """
)
