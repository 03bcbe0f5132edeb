"""Whatever a service does with a day, ours equals theirs once it has settled, and never lies before."""

import os
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.models import Job
from ingestion.sources.lifelogs import accounts, limitless
from ingestion.sources.lifelogs.models import Account, Day, begins, ends
from ingestion.testing import run_inline
from tests.lifelogs.looks import overtaken
from tests.lifelogs.service import KEY, Answer, Asked, Server

pytestmark = pytest.mark.django_db
FULL = os.environ.get("HEADWAY_FAULTS") == "full"
SETTLE = timedelta(hours=3)
DAYS = [
    ("UTC", date(2026, 11, 18)),
    ("Europe/Oslo", date(2026, 3, 29)),
    ("Europe/Oslo", date(2026, 3, 28)),  # after it, while it settles, an hour is skipped, and
    ("Europe/Oslo", date(2026, 10, 24)),  # an hour comes twice
    ("Europe/Oslo", date(2026, 10, 25)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("America/Sao_Paulo", date(2018, 11, 3)),
    ("America/Havana", date(2026, 11, 1)),
    ("Pacific/Kiritimati", date(2026, 11, 18)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
]
FAILS = {
    "refuses": Answer(400),
    "is away": Answer(503),
    "says nonsense": Answer(200, b'{"data": {"lifelogs": [{"id": "a"}]}, "meta": {"lifelogs": {}}}'),
    "hangs up": Answer(200, b"{", {"Content-Length": "900", "Connection": "close"}),
}
# What happens at the service between two of our looks: (what, which item, at which minute of the day).
DEEDS = st.tuples(
    st.sampled_from(["appear", "appear", "grow", "vanish", "star", "neighbour", "move"]),
    st.integers(0, 40),
    st.integers(0, 1379),
)
LOOKS = st.tuples(
    st.lists(DEEDS, max_size=6),
    st.integers(30, 700),  # minutes until the look
    st.sampled_from(["well", "well", "well", *FAILS, "fails on page 2", "shifts", "overtaken", "late"]),
)


def do(service: Server, deed: tuple[str, int, int], start: datetime) -> None:
    """Let something happen at the service."""
    what, number, minute = deed
    name = f"item{number:02}"
    at = (start + timedelta(minutes=minute)).isoformat()
    item = service.items.get(name)
    if what == "appear" and item is None:
        service.put(name, at)
    elif what == "neighbour":
        service.put(f"beside{number:02}", (start - timedelta(minutes=1 + minute)).isoformat(), minutes=90)
    elif item is not None and what == "grow":
        item.ended_at, item.text = item.ended_at + timedelta(minutes=9), f"{item.text} and on"
        item.version += 1
    elif item is not None and what == "star":
        item.starred, item.version = not item.starred, item.version + 1
    elif item is not None and what == "move":  # to the day before, or back
        away = start - timedelta(minutes=1 + minute)
        item.started_at = away if item.started_at >= start else start + timedelta(minutes=minute)
        item.ended_at, item.version = item.started_at + timedelta(minutes=5), item.version + 1
    elif item is not None and what == "vanish":
        del service.items[name]


def ours(account: Account, day: date) -> dict[str, tuple[str, bool, datetime]]:
    rows = account.items.filter(day__date=day, deleted_at=None)
    return {row.key.partition(":")[2]: (row.markdown, row.starred, row.ended_at) for row in rows}


def theirs(service: Server, day: date, zone: ZoneInfo) -> dict[str, tuple[str, bool, datetime]]:
    return {
        one.id: (one.told(zone)["markdown"], one.starred, one.ended_at) for one in service.of_day(day, zone)
    }


def mood(service: Server, kind: str) -> None:
    """Let the service fail, or change while it is read."""
    service.mood, service.before_page = (lambda asked: None), (lambda asked: None)
    if kind in FAILS:
        service.mood = lambda asked: FAILS[kind]
    elif kind == "fails on page 2":
        service.mood = lambda asked: Answer(400) if asked.params.get("cursor") else None
    elif kind == "shifts":

        def shift(asked: Asked) -> None:
            if asked.params.get("cursor"):
                service.items.pop(next(iter(sorted(service.items)), ""), None)

        service.before_page = shift


def range_of(params: dict[str, Any]) -> dict[str, Any]:
    """Return the same day as a range: another job."""
    return {"account": params["account"], "mode": "range", "start": params["date"], "end": params["date"]}


def meanwhile(service: Server, alice: User, deeds: list[Any], start: datetime, params: Any) -> None:
    """Let another job read the day, and the service go on."""
    run_inline("lifelogs", alice, **params)
    for deed in deeds:
        do(service, deed, start)


@settings(
    max_examples=200 if FULL else 12,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(place=st.sampled_from(DAYS), crowd=st.integers(0, 45), looks=st.lists(LOOKS, min_size=1, max_size=6))
def test_a_settled_day_equals_theirs_and_no_status_lies(
    service: Server, alice: User, monkeypatch: pytest.MonkeyPatch, place: Any, crowd: int, looks: Any
) -> None:
    zone, day = ZoneInfo(place[0]), place[1]
    Account.objects.all().delete()
    Job.objects.all().delete()
    service.items.clear()
    account = accounts.add(alice, "limitless", KEY, place[0])
    start = begins(day, zone).astimezone(UTC)
    settled = ends(day, zone).astimezone(UTC) + SETTLE
    clock = {"now": start}
    monkeypatch.setattr(limitless, "read_clock", lambda: clock["now"])
    for n in range(crowd):
        service.put(f"item{n:02}", (start + timedelta(minutes=n * 30)).isoformat())
    params = {"account": account.pk, "mode": "day", "date": day.isoformat()}
    version, status = 0, "partial"
    for deeds, minutes, kind in looks:
        cut = len(deeds) // 2 if kind == "overtaken" else len(deeds)
        for deed in deeds[:cut]:
            do(service, deed, start)
        now = clock["now"] = clock["now"] + timedelta(minutes=minutes)
        if kind == "late":  # it began before the look before it
            clock["now"] -= timedelta(minutes=minutes + 1)
        looked = clock["now"]
        before = ours(account, day)
        if kind == "overtaken":
            then = partial(meanwhile, service, alice, deeds[cut:], start, params)
            with overtaken(monkeypatch, then):
                job = run_inline("lifelogs", alice, **range_of(params))
        else:
            mood(service, kind)
            job = run_inline("lifelogs", alice, **params)
            mood(service, "well")
        clock["now"] = now
        row = Day.objects.filter(account=account, date=day).first()
        if row is None:
            continue
        became = row.ingestion_status == "complete" != status
        assert not (status == "complete" and row.ingestion_status == "partial"), "it went back"
        assert not became or looked >= settled, "complete too early"
        assert not became or ours(account, day) == theirs(service, day, zone), "complete, and not the same"
        changed = ours(account, day) != before or became or version == 0
        most = {"shifts": 1, "overtaken": 2}.get(kind, changed)
        assert version + changed <= row.version <= version + most
        if job.state == "failed" or job.items_skipped:
            assert ours(account, day) == before
        elif kind in ("well", "late"):
            assert ours(account, day) == theirs(service, day, zone)
            assert (row.ingestion_status == "complete") == (status == "complete" or looked >= settled)
        statuses = set(account.items.filter(day=row).values_list("ingestion_status", flat=True))
        assert statuses <= {row.ingestion_status}
        version, status = row.version, row.ingestion_status
    clock["now"] = max(clock["now"], settled)
    run_inline("lifelogs", alice, **params)
    row = Day.objects.get(account=account, date=day)
    assert row.is_complete and ours(account, day) == theirs(service, day, zone)
    assert row.items_count == len(theirs(service, day, zone))
