"""What a day's page shows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Case, F, Max, Q, TextField, Value, When
from django.utils import timezone

from ingestion.access import visible_jobs
from ingestion.models import OPEN, Job
from ingestion.sources.lifelogs import accounts, calendars, services, spans, transcripts
from ingestion.sources.lifelogs.models import Account, DataItem, Day, Ingestion
from ingestion.sources.lifelogs.sample import standin
from ingestion.sources.lifelogs.transcripts import Line

FILTERS = ("all", "new", "changed")
_WIDTH, _HEIGHT, _STEP = 21, 66, 25.9  # of the bars of the hours


@dataclass(frozen=True)
class Shown:
    """An item in the timeline."""

    item: DataItem
    at: datetime  # in the owner's zone; templates would turn it into the reader's
    clock: str
    minutes: int
    is_new: bool
    is_changed: bool
    speakers: str
    lines: list[Line] = field(default_factory=list)
    more: int = 0  # lines that are shown on the item's own page


@dataclass(frozen=True)
class Seen:
    """What a page showed when it was opened: version and status of the day."""

    version: int
    status: str

    @classmethod
    def of(cls, query: Mapping[str, str], day: Day) -> "Seen":
        """Read it from an address; a page that was just opened has seen what is there now."""
        text = query.get("since", "")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            return cls(day.version, day.ingestion_status)
        was = query.get("was", "")
        return cls(int(text), was if was in Ingestion.values else Ingestion.PARTIAL)


def clock_of(account: Account) -> datetime:
    """Return what time it is for an account; the sample plays its own."""
    now = timezone.now()
    return standin.played(account.created_at, now) if account.is_sample else now


@dataclass(frozen=True)
class Look:
    """What tells one view of a day from another; the rest follows from it."""

    day: Day
    seen: Seen
    status: str
    job: Job | None

    @property
    def tag(self) -> str:
        """Return an entity tag."""
        return f'"{self.day.version}:{self.seen.version}:{self.status}:{self.job.pk if self.job else ""}"'


def look(account: Account, when: date, query: Mapping[str, str]) -> Look:
    """Return where a day stands for who has this address."""
    day = account.days.filter(date=when).first() or Day(account=account, date=when)
    day.account = account
    status = "failed" if day.trouble and not day.is_complete else str(day.ingestion_status)
    return Look(day, Seen.of(query, day), status, _job(account, day))


def context(account: Account, found: Look, user: Any, query: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page of a day shows to its owner."""
    day, seen, job, now = found.day, found.seen, found.job, clock_of(account)
    when, today = day.date, spans.today(account, now)
    shown = _shown(account, day, seen) if day.pk else []
    wanted = query.get("f", "all")
    wanted = wanted if wanted in FILTERS else "all"
    return {
        "account": account,
        "service": services.get(account.service).label,
        "day": day,
        "seen": seen,
        "fragment": f"{day.get_absolute_url()}?since={seen.version}&was={seen.status}&f={wanted}",
        "items": shown,
        "hours": _by_hour([one for one in shown if _fits(one, wanted)]),
        "filter": wanted,
        "new": sum(one.is_new for one in shown),
        "changed": sum(one.is_changed and not one.is_new for one in shown),
        "deleted": _deleted(day, seen),
        "became_complete": day.is_complete and seen.status != Ingestion.COMPLETE,
        "moved": day.version > seen.version,
        "status": found.status,
        "bars": _bars(shown),
        "sources": _sources(user, when),
        "calendar": calendars.last_weeks(account, now),
        "job": job,
        "job_seen": job is not None and visible_jobs(user).filter(pk=job.pk).exists(),
        "refresh": job is not None,
        **_times(account, when, today, now),
    }


def _times(account: Account, when: date, today: date, now: datetime) -> dict[str, Any]:
    settles_at = spans.settles_at(account, when)
    return {
        "settles_at": settles_at.astimezone(account.local).replace(tzinfo=None),
        "is_over": settles_at <= now,
        "future": when > today,
        "today": today,
        "is_today": when == today,
        "current": None if when == today else _today(account, today),
        "previous": when - timedelta(days=1),
        "following": when + timedelta(days=1) if when < today else None,
    }


def _job(account: Account, day: Day) -> Job | None:
    rows = Job.objects.filter(source=accounts.KIND, state__in=OPEN, owner=account.owner_id)
    return rows.filter(object__in=[day.stream, account.stream]).order_by("-pk").first()


def _shown(account: Account, day: Day, seen: Seen) -> list[Shown]:
    # The same words twice are a lot to read; the second is shown where the first is missing.
    plain = Case(When(contents=[], then=F("markdown")), default=Value(""), output_field=TextField())
    rows = day.items.filter(deleted_at=None).annotate(plain=plain).defer("markdown")
    return [_item(one, account, seen) for one in rows.order_by("started_at", "key")]


def _item(item: DataItem, account: Account, seen: Seen) -> Shown:
    lines = transcripts.lines(item.contents, getattr(item, "plain", ""))
    names = dict.fromkeys(line.speaker for line in lines if line.speaker not in ("", "You"))
    at = item.started_at.astimezone(account.local)
    return Shown(
        item,
        at,
        f"{at:%H:%M}",
        round((item.ended_at - item.started_at).total_seconds() / 60),
        item.first_version > seen.version,
        item.day_version > seen.version,
        ", ".join(list(names)[:4]),
        lines[: transcripts.SHORT],
        max(0, len(lines) - transcripts.SHORT),
    )


def _fits(one: Shown, wanted: str) -> bool:
    return wanted == "all" or (one.is_new if wanted == "new" else one.is_changed)


def _by_hour(shown: Iterable[Shown]) -> list[tuple[str, list[Shown]]]:
    found: dict[str, list[Shown]] = {}
    for one in shown:
        # An hour that comes twice is two groups. Offsets tell: times of one zone are equal whatever fold.
        hour = f"{one.at:%H:00}"
        first, second = (one.at.replace(fold=fold).utcoffset() for fold in (0, 1))
        hour = f"{hour} {one.at:%Z}" if first != second else hour
        found.setdefault(hour, []).append(one)
    return list(found.items())


def _bars(shown: list[Shown]) -> dict[str, Any]:
    """Return the items by hour as bars, old ones below new ones, and the same in words."""
    old, new = [0] * 24, [0] * 24
    for one in shown:
        (new if one.is_new else old)[one.at.hour] += 1
    most = max(map(sum, zip(old, new, strict=True)), default=0)
    if not most:
        return {}
    rects = []
    for hour in range(24):
        low, high = _HEIGHT * old[hour] / most, _HEIGHT * new[hour] / most
        x = f"{hour * _STEP:.1f}"
        for status, y, height in (("running", 72 - low, low), ("complete", 72 - low - high, high)):
            if height:
                rects.append({"status": status, "x": x, "y": f"{y:.1f}", "height": f"{height:.1f}"})
    busiest = max(range(24), key=lambda hour: old[hour] + new[hour])
    text = f"Items by hour. Busiest at {busiest:02}:00 with {most}."
    text += f" {sum(new)} new." if any(new) else ""
    ticks = [(f"{hour * _STEP:.1f}", f"{hour:02}:00") for hour in range(0, 24, 3)]
    return {"rects": rects, "ticks": ticks, "text": text, "width": _WIDTH}


def _deleted(day: Day, seen: Seen) -> int:
    if not day.pk:
        return 0
    return day.items.filter(deleted_at__isnull=False, day_version__gt=seen.version).count()


def _sources(user: Any, when: date) -> list[dict[str, Any]]:
    """Return that day of each of the user's accounts."""
    last_item = Max("items__started_at", filter=Q(items__deleted_at=None))
    days = Day.objects.filter(account__owner=user, date=when).annotate(last=last_item)
    rows = {row.account_id: row for row in days}
    found = []
    for account in accounts.of(user):
        day = rows.get(account.pk)
        last = getattr(day, "last", None)
        found.append(
            {
                "account": account,
                "day": day or Day(account=account, date=when),
                "known": day is not None,
                "last": f"{last.astimezone(account.local):%H:%M}" if last else "",
                "synced": _synced(account, day),
            }
        )
    return found


def _synced(account: Account, day: Day | None) -> datetime | None:
    """Return when a day was read, on the clock of who reads this."""
    if day is None or day.walked_at is None:
        return None
    return standin.really(account.created_at, day.walked_at) if account.is_sample else day.walked_at


def _today(account: Account, date_: date) -> dict[str, Any]:
    """Return how far the current day is, for who looks at another one."""
    day = account.days.filter(date=date_).first() or Day(account=account, date=date_)
    settled = spans.settles_at(account, date_).astimezone(account.local).replace(tzinfo=None)
    return {"day": day, "settles_at": settled}
