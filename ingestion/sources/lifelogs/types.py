"""What owners of days are told, beside what becomes of their jobs."""

from notifications.models import Level
from notifications.types import WITH_EMAIL, declare

DAY_COMPLETE = "day_complete"
KEY_REFUSED = "lifelog_key_refused"

# Off unless chosen: it comes every day.
declare(
    DAY_COMPLETE,
    "Complete days",
    level=Level.SUCCESS,
    channels=(),
    group="Days",
    many="{n} days are complete",
)
declare(
    KEY_REFUSED,
    "Lifelog accounts that are paused",
    level=Level.WARNING,
    channels=WITH_EMAIL,
    group="Days",
)
