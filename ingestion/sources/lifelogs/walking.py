"""Reading a day whole: all its pages, and whether what they told fits together.

Pages may shift while they are read. So a day of several pages is compared with a list of it, made after
them in one request; what does not fit is read again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from ingestion.source import SourceError
from ingestion.sources.lifelogs.models import ends
from ingestion.sources.lifelogs.services import Client, Recording

MOST_ITEMS = 5000  # of a day
MOST_PAGES = 400
TRIES = 3  # of a day that changes while it is read


@dataclass(frozen=True)
class Walk:
    """What a service has of a day.

    began: when its first page was asked for. whole: nothing was missed. gone: ids that we had of the day
    and of which the service says that it has them no more (None), or on which other day.
    """

    began: datetime
    items: list[Recording]
    whole: bool = True
    gone: Mapping[str, date | None] = field(default_factory=dict)

    def completes(self, day: date, zone: ZoneInfo, settle: timedelta) -> bool:
        """Say whether a day is complete after this: read whole, and begun a while after the day ended."""
        return self.whole and self.began >= ends(day, zone) + settle


def walk(client: Client, day: date, zone: ZoneInfo, known: frozenset[str] = frozenset()) -> Walk:
    """Read a day. known: ids that we have of it. Raises SourceError: then nothing is known about the day."""
    for _ in range(TRIES):
        began = client.clock()
        found, pages = _pages(client, day, zone)
        whole = pages == 1 or _fits(client, day, zone, found)
        if whole:
            break
    ours = {key: one for key, one in found.items() if one.started_at.astimezone(zone).date() == day}
    gone: dict[str, date | None] = {}
    for one in sorted(known - ours.keys()):
        # One that shifted from one page to another while we turned it is not gone.
        at = found[one].started_at if one in found else client.began(one)
        other = None if at is None else at.astimezone(zone).date()
        if other != day:
            gone[one] = other
    return Walk(began, list(ours.values()), whole, gone)


def _pages(client: Client, day: date, zone: ZoneInfo) -> tuple[dict[str, Recording], int]:
    found: dict[str, Recording] = {}
    cursor, seen = "", {""}
    for number in range(1, MOST_PAGES + 1):
        page = client.page(day, zone, cursor)
        found.update((one.source_id, one) for one in page.items)  # told twice: the later one counts
        if len(found) > MOST_ITEMS:
            break
        cursor = page.following
        if not cursor:
            return found, number
        if cursor in seen:
            raise SourceError(
                "service_bad_answer", "The service's pages go round in a circle.", retryable=True
            )
        seen.add(cursor)
    raise SourceError("too_many_items", f"A day may have at most {MOST_ITEMS:,} items.")


def _fits(client: Client, day: date, zone: ZoneInfo, found: dict[str, Recording]) -> bool:
    listed = client.listed(day, zone)
    if listed is None:  # too many for one request: two readings in a row must agree
        return {key: one.updated_at for key, one in _pages(client, day, zone)[0].items()} == _stamps(found)
    return listed == _stamps(found)


def _stamps(found: dict[str, Recording]) -> dict[str, datetime | None]:
    return {key: one.updated_at for key, one in found.items()}
