"""Derive statistical units: what a part of the changed identifiers looks like now, and what that changes."""

from config.statements import execute

PER_PART = 20_000  # identifiers derived in one transaction: about a second

# The first number of employees of each class.
SIZES = (0, 1, 5, 10, 20, 50, 100, 250)
# Sections of ISIC and NACE by division, the first two digits of every code. (NACE Rev. 2)
_SECTIONS = {
    "A": (1, 3),
    "B": (5, 9),
    "C": (10, 33),
    "D": (35, 35),
    "E": (36, 39),
    "F": (41, 43),
    "G": (45, 47),
    "H": (49, 53),
    "I": (55, 56),
    "J": (58, 63),
    "K": (64, 66),
    "L": (68, 68),
    "M": (69, 75),
    "N": (77, 82),
    "O": (84, 84),
    "P": (85, 85),
    "Q": (86, 88),
    "R": (90, 93),
    "S": (94, 96),
    "T": (97, 98),
    "U": (99, 99),
}


def section(division: int) -> str:
    """Return the letter of a division, "" for none."""
    return next((name for name, (first, last) in _SECTIONS.items() if first <= division <= last), "")


def lock() -> None:
    """Let nobody else derive until the end of the transaction. It is seldom waited for."""
    execute("SELECT pg_advisory_xact_lock(4, 1)")


def derive(collected: int, part: int) -> int:
    """Derive a part of the changes in the current transaction. Return how many identifiers it had.

    Whatever was derived before, and however often this is done: the rows are those of the register now, and
    the cells change by the difference.
    """
    lock()
    # Deleted first: what changes after this statement is a change of its own, or is seen by the next ones.
    taken = execute(
        "DELETE FROM analytics_change WHERE collected = %s AND part = %s RETURNING tax_ident",
        [collected, part],
    )
    changed = [ident for (ident,) in taken]
    execute(_GONE, [changed])
    execute(_NEW, [changed])
    execute(_NAMELESS, [changed])
    execute(_NAMED, [changed])
    return len(changed)


_DIVISIONS = ", ".join(f"'{section(division)}'" for division in range(100))
_SIZE = " ".join(f"WHEN employees >= {least} THEN '{least}'" for least in reversed(SIZES))
# A year counts whoever is valid on its last day. Whatever the import promises, two rows never begin in one
# year: the later period wins.
_FRESH = f"""
    WITH given AS (SELECT unnest(%s::text[]) AS tax_ident),
    periods AS (
        SELECT unit.tax_ident, unit.valid_from,
            coalesce(extract(year FROM coalesce(valid_from, birth_date))::int, 0) AS first_year,
            extract(year FROM least(valid_to, death_date) + 1)::int - 1 AS last_year,
            physical_region_code AS region,
            CASE WHEN activity ~ '^[A-Ua-u]' THEN upper(left(activity, 1))
                WHEN activity ~ '^[0-9][0-9]' THEN (ARRAY[{_DIVISIONS}])[left(activity, 2)::int + 1]
                ELSE '' END AS activity,
            CASE {_SIZE} ELSE '' END AS size,
            employees, turnover
        FROM given JOIN imports_unit AS unit USING (tax_ident),
            LATERAL (SELECT primary_activity_category_code AS activity) AS code
    ),
    fresh AS (
        SELECT DISTINCT ON (tax_ident, first_year)
            tax_ident, first_year, last_year, region, activity, size, employees, turnover
        FROM periods WHERE last_year IS NULL OR last_year >= first_year
        ORDER BY tax_ident, first_year, valid_from DESC NULLS LAST
    )
"""  # nosec B608  # words of ours
_SAME = """
    one.tax_ident = other.tax_ident AND one.first_year = other.first_year
    AND (one.last_year, one.region, one.activity, one.size, one.employees, one.turnover) IS NOT DISTINCT FROM
        (other.last_year, other.region, other.activity, other.size, other.employees, other.turnover)
"""


def cells_of(rows: str, sign: str) -> str:
    """Return SQL for what these statistical units add to the cells (sign "+") or take from them ("-")."""
    return f"""
        SELECT dimension, code, year, sum({sign}step), sum({sign}step * coalesce(employees, 0)),
            sum({sign}step * coalesce(turnover, 0))
        FROM {rows},
            LATERAL (VALUES (first_year, 1), (last_year + 1, -1)) AS turn (year, step),
            LATERAL (VALUES ('all', ''), ('region', region), ('activity', activity), ('size', size))
                AS cell (dimension, code)
        WHERE year IS NOT NULL GROUP BY dimension, code, year
    """  # nosec B608  # words of ours


_COLUMNS = "(dimension, code, year, units, employees, turnover)"
_GONE = f"""
    {_FRESH}, gone AS (
        DELETE FROM analytics_statisticalunit AS one USING given
        WHERE one.tax_ident = given.tax_ident AND NOT EXISTS (SELECT FROM fresh AS other WHERE {_SAME})
        RETURNING one.*
    ) INSERT INTO analytics_cellchange {_COLUMNS} {cells_of("gone", "-")}
"""  # nosec B608
# In conflict is what a load changed since `_GONE` looked: that import's end has it derived again.
_NEW = f"""
    {_FRESH}, new AS (
        INSERT INTO analytics_statisticalunit
            (tax_ident, first_year, last_year, region, activity, size, employees, turnover)
        SELECT * FROM fresh AS one
        WHERE NOT EXISTS (SELECT FROM analytics_statisticalunit AS other WHERE {_SAME})
        ON CONFLICT DO NOTHING
        RETURNING *
    ) INSERT INTO analytics_cellchange {_COLUMNS} {cells_of("new", "")}
"""  # nosec B608
_NAMELESS = """
    DELETE FROM analytics_words AS one USING unnest(%s::text[]) AS given (tax_ident)
    WHERE one.tax_ident = given.tax_ident
        AND NOT EXISTS (SELECT FROM imports_unit AS unit WHERE unit.tax_ident = one.tax_ident)
"""
_LONGEST = 100_000  # characters of all names of a unit; PostgreSQL takes no million
_NAMED = f"""
    INSERT INTO analytics_words AS known (tax_ident, words)
    SELECT tax_ident, to_tsvector('simple', left(string_agg(DISTINCT name, ' '), {_LONGEST}))
    FROM unnest(%s::text[]) AS given (tax_ident) JOIN imports_unit USING (tax_ident)
    GROUP BY tax_ident
    ON CONFLICT (tax_ident) DO UPDATE SET words = EXCLUDED.words WHERE known.words <> EXCLUDED.words
"""  # nosec B608  # our own number
