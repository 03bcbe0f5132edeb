"""What the keeper does each second with rows alone, in this order."""

from collections.abc import Callable
from typing import Any

from ingestion import brake, lifecycle, orphans, schedules

DUTIES: tuple[Callable[[], Any], ...] = (
    brake.look,
    lifecycle.make_due,
    lifecycle.unblock,
    schedules.start_due,
    orphans.end_orphans,
)
