"""What the statements of a page or a job read, by their plans."""

from collections.abc import Iterable

from django.db import connection, transaction

TABLES = ("imports_stagedspan", "imports_notedrow", "imports_unit")


def told(asked: Iterable[dict[str, str]], *names: str) -> list[str]:
    """Return the statements that name one of these tables, of those that were captured."""
    return [one["sql"] for one in asked if any(name in one["sql"] for name in names)]


def rows_read(statement: str) -> tuple[int, int]:
    """Return how many stored rows a statement looks at, and into how many lines it takes spans apart."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(TABLES)}")
        cursor.execute("SET LOCAL enable_seqscan = off")  # a table of so few pages is read faster as a whole
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        ((plan,),) = cursor.fetchone()
    nodes, read, lines = [plan["Plan"]], 0, 0
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node["Node Type"] == "ProjectSet":
            lines += node["Actual Loops"] * node["Actual Rows"]
        if node.get("Relation Name") in TABLES:
            read += node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    return int(read), int(lines)
