"""Another lifelog service is one file: here it is, beside the first one, and everything works with it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion.models import Schedule
from ingestion.run import Run
from ingestion.sources.lifelogs import accounts, services
from ingestion.sources.lifelogs.models import Account, Day
from ingestion.sources.lifelogs.sample import standin
from ingestion.sources.lifelogs.services import KeyRefused, Page, Recording
from ingestion.sources.lifelogs.streams import data_updated
from ingestion.testing import run_inline
from tests.lifelogs.looks import sync, the_day
from tests.lifelogs.service import Server

pytestmark = pytest.mark.django_db
NIGHT = datetime(2026, 11, 19, 12, tzinfo=UTC)


# ---- the file ----


class Logbook:
    """A service whose pages are numbered, and which tells neither trees nor when something changed."""

    entries: list[tuple[str, datetime, str]] = []  # what it has, for all keys
    keys = {"logbook-key"}

    def __init__(self, job: Run, key: str, fingerprint: str, born: datetime | None) -> None:
        self.refusal: KeyRefused | None = None
        self._key = key

    def clock(self) -> datetime:
        return NIGHT

    def page(self, day: date, zone: ZoneInfo, cursor: str = "") -> Page:
        if self._key not in self.keys:
            self.refusal = KeyRefused("key_refused", "Logbook does not know this key.")
            raise self.refusal
        number = int(cursor or 0)
        found = self._of(day, zone)
        shown = found[number : number + 2]
        return Page(shown, str(number + 2) if found[number + 2 :] else "")

    def listed(self, day: date, zone: ZoneInfo) -> dict[str, datetime | None]:
        return {one.source_id: None for one in self._of(day, zone)}

    def began(self, source_id: str) -> datetime | None:
        return next((at for name, at, _ in self.entries if name == source_id), None)

    def _of(self, day: date, zone: ZoneInfo) -> list[Recording]:
        found = [
            Recording(name, text.title(), text, [], at, at + timedelta(minutes=5))
            for name, at, text in self.entries
            if at.astimezone(zone).date() == day
        ]
        return sorted(found, key=lambda one: one.started_at)


def opened(job: Run, key: str, fingerprint: str, born: datetime | None) -> AbstractContextManager[Logbook]:
    """Open it; nothing is to be closed."""
    return nullcontext(Logbook(job, key, fingerprint, born))


LOGBOOK = services.Service("logbook", "Ship's logbook", opened)

# ---- what is done with it ----


@pytest.fixture
def logbook(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Logbook]]:
    """The second service; its name comes before the first one's as little as after it."""
    monkeypatch.setattr(services, "_services", {LOGBOOK.name: LOGBOOK, **services._services})
    monkeypatch.setattr(Logbook, "entries", [])
    yield Logbook


def put(logbook: type[Logbook], name: str, hour: int, text: str) -> None:
    logbook.entries.append((name, datetime(2026, 11, 18, hour, tzinfo=UTC), text))


def test_days_of_another_service_are_connected_read_shown_found_and_told(
    client: Client, alice: User, account: Account, service: Server, logbook: type[Logbook]
) -> None:
    client.force_login(alice)
    form = {"service": "logbook", "key": "logbook-key", "zone": "Europe/Oslo"}
    assert "Ship&#x27;s logbook" in client.get("/days/accounts/").content.decode()
    assert client.post("/days/accounts/add/", form).status_code == 302
    ship = Account.objects.get(service="logbook")
    for n in range(5):
        put(logbook, f"n{n}", 6 + n, f"otters at {n}")
    service.put("n0", "2026-11-18T08:00+01:00", text="of the first service")  # the same id
    job = sync(ship)
    assert (job.state, job.message) == ("completed", "Wed 18 Nov 2026 is complete")
    assert sorted(ship.items.values_list("key", flat=True)) == [f"logbook:n{n}" for n in range(5)]
    sync(account)
    assert list(account.items.values_list("key", flat=True)) == ["limitless:n0"]
    page = client.get(the_day(ship).get_absolute_url()).content.decode()
    assert 'data-source="logbook"' in page and "Ship&#x27;s logbook · 5 min" in page
    found = client.get("/api/days/search?q=otters").json()["items"]
    assert [one["id"] for one in found] == [f"logbook:n{n}" for n in (4, 3, 2, 1, 0)]
    assert client.get(f"/api/days/2026-11-18?account={ship.pk}").json()["source"] == "logbook"
    assert data_updated(ship.pk, ship.service, "2026-11-18", {"version": 1})["source"] == "logbook"

    logbook.entries.pop()  # one is gone; which, it is asked for by name
    assert sync(ship).items.get().result["deleted"] == 1
    assert the_day(ship).changed_after


def test_a_key_that_another_service_refuses_pauses_its_account(
    alice: User, logbook: type[Logbook], monkeypatch: pytest.MonkeyPatch
) -> None:
    ship = accounts.add(alice, "logbook", "logbook-key", "UTC")
    monkeypatch.setattr(Logbook, "keys", set())
    assert run_inline("lifelogs", alice, account=ship.pk, mode="day", date="2026-11-18").state == "failed"
    ship.refresh_from_db()
    assert (ship.status, ship.reason) == ("paused", "Logbook does not know this key.")
    assert Schedule.objects.get().paused and not Day.objects.filter(ingestion_status="complete").exists()


def test_the_sample_is_of_the_service_as_which_its_stand_in_answers(
    alice: User, logbook: type[Logbook]
) -> None:
    assert services.known()[0] is LOGBOOK
    assert accounts.sample_of(alice).service == standin.SERVICE == "limitless"
