"""Pass the lines of a span on to the register as they are: COPY reads them at a third of the work of SQL.

That can be where each line is a unit that the register does not have, and says all there is to say of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from django.db import IntegrityError, connection, transaction
from psycopg import sql

from config.statements import execute
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.definition import IDENTIFIER, PERIOD, Mode
from ingestion.sources.imports.records import Span
from ingestion.sources.imports.rowtext import SEPARATOR

QUOTE = "\x1e"  # COPY wants one: a span with it goes another way
NOT_TEXTS = ("date", "end_date", "integer", "decimal")


@dataclass(frozen=True)
class Lines:
    """The plain lines of a span, first and last identifier of its rows, and which of them are noted.

    rest: whether good rows are among those, which are no lines.
    """

    text: str
    low: str
    high: str
    noted: Sequence[int] | None
    rest: bool | None


def lines_of(columns: Columns, import_id: int, span: Span) -> Lines | None:
    """Return what of a span may be passed on; None where it cannot be done so."""
    if not _is_plain(columns):
        return None
    found = execute(_LINES, [import_id, span.row, span.last, import_id, span.row])
    return Lines(*found[0]) if found and QUOTE not in found[0][0] else None


def copy(columns: Columns, import_id: int, span: Span, given: Lines) -> int | None:
    """Write the lines of a span, in the current transaction, and return how many there were.

    None: nothing was written, as units of them are known.
    """
    if _some_known(columns, import_id, span, given.low, given.high):
        return None
    lines = given.text.split("\n")
    for number in given.noted or ():
        lines[number - span.row] = ""
    lines = list(filter(None, lines))
    ended = f"{SEPARATOR}{import_id}\n"
    try:
        # Django gives the errors of COPY no names of its own unless it is asked to.
        with transaction.atomic(), connection.cursor() as cursor, connection.wrap_database_errors:
            statement = _statement(columns).as_string(cursor.connection)
            with cursor.copy(statement) as rows:
                rows.write((ended.join(lines) + ended if lines else "").encode())
    except IntegrityError:  # another import has just made one of them
        return None
    return len(lines)


def _some_known(columns: Columns, import_id: int, span: Span, low: str, high: str) -> bool:
    """Say whether the register may have a unit of these lines."""
    if _orders_as_python():
        return bool(
            execute("SELECT 1 FROM imports_unit WHERE tax_ident BETWEEN %s AND %s LIMIT 1", [low, high])
        )
    place = next(match.index for match in columns.matches if match.target == IDENTIFIER)
    ((known,),) = execute(_SOME_KNOWN, [SEPARATOR, place + 1, import_id, span.row])
    return bool(known)


@cache
def _orders_as_python() -> bool:
    """Say whether this database orders texts as `StagedSpan.low` and `high` are."""
    ((said,),) = execute(_COLLATION)
    return bool(said)


def _is_plain(columns: Columns) -> bool:
    """Say whether a row is nothing but new values of its unit."""
    rules = columns.definition
    return not (
        rules.mode == Mode.UPDATE
        or columns.unique()
        or any(map(columns.has, PERIOD))
        or any(column.default for column in rules.columns)
        or len(columns.matches) < len(columns.header)
    )


def _statement(columns: Columns) -> sql.Composable:
    ordered = sorted(columns.matches, key=lambda match: match.index)
    texts = [match.target for match in ordered if columns.target(match).type not in NOT_TEXTS]
    return sql.SQL(
        "COPY imports_unit ({names}, loaded_by_id) FROM STDIN"
        " WITH (FORMAT csv, DELIMITER {cut}, QUOTE {quote}, NULL '', FORCE_NOT_NULL ({texts}))"
    ).format(
        names=_names([match.target for match in ordered]),
        cut=sql.Literal(SEPARATOR),
        quote=sql.Literal(QUOTE),
        texts=_names(texts),
    )


def _names(names: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


# Of spans in the order of their identifiers, as all write them in the same order.
_LINES = """
    SELECT lines, low, high, noted.numbers, noted.good FROM imports_stagedspan, (
        SELECT array_agg(number) AS numbers, bool_or(errors IS NULL) AS good FROM imports_notedrow
        WHERE import_id = %s AND number BETWEEN %s AND %s
    ) AS noted
    WHERE import_id = %s AND first = %s AND low IS NOT NULL
"""
# Looked for in the select list: a join would be a pass over the register.
_SOME_KNOWN = r"""
    SELECT bool_or((SELECT true FROM imports_unit WHERE tax_ident = ident LIMIT 1)) FROM (
        SELECT split_part(line, %s, %s) AS ident FROM (
            SELECT string_to_table(lines, E'\n') AS line FROM imports_stagedspan
            WHERE import_id = %s AND first = %s
        ) AS lines
    ) AS said
"""
_COLLATION = """
    SELECT datlocprovider = 'b' OR (datlocprovider = 'c' AND datcollate ~* '^(C|POSIX)(\\.|$)')
    FROM pg_database WHERE datname = current_database()
"""
