"""The cells of the reports: brought up to date by what changed, or made anew from all statistical units."""

from django.db.models.functions import Now

from config.statements import execute
from ingestion.sources.imports.analytics import units
from ingestion.sources.imports.analytics.models import CellChange, Reports

_ZERO = "(0, 0, 0)"
_SETTLE = f"""
    WITH taken AS (DELETE FROM analytics_cellchange RETURNING *)
    INSERT INTO analytics_cell AS kept (dimension, code, year, units, employees, turnover)
    SELECT dimension, code, year, sum(units), sum(employees), sum(turnover) FROM taken
    GROUP BY dimension, code, year HAVING (sum(units), sum(employees), sum(turnover)) <> {_ZERO}
    ON CONFLICT (dimension, code, year) DO UPDATE SET units = kept.units + excluded.units,
        employees = kept.employees + excluded.employees, turnover = kept.turnover + excluded.turnover
    RETURNING 1
"""  # nosec B608  # words of ours
_SWEEP = f"DELETE FROM analytics_cell WHERE (units, employees, turnover) = {_ZERO}"  # nosec B608
_ANEW = f"""
    INSERT INTO analytics_cell (dimension, code, year, units, employees, turnover)
    {units.cells_of("analytics_statisticalunit", "")}
"""  # nosec B608


def settle() -> int:
    """Add to the cells what the derived units changed, in the current transaction. Return how many moved."""
    units.lock()
    moved = len(execute(_SETTLE))
    execute(_SWEEP)
    return moved


def make_anew() -> None:
    """Make all cells from the statistical units, in the current transaction."""
    units.lock()
    CellChange.objects.all().delete()
    execute("DELETE FROM analytics_cell")
    execute(_ANEW)
    execute(_SWEEP)


def row() -> Reports:
    """Return the row whose stream moves with the cells, its time set to now."""
    Reports.objects.get_or_create(pk=1)
    Reports.objects.filter(pk=1).update(derived_at=Now())
    return Reports.objects.get(pk=1)
