"""One of everything that has a page, for who looks at all of them."""

from typing import Any

from django.contrib.auth.models import User

from ingestion.models import Pause, Schedule
from ingestion.sources.imports.default import DEFAULT
from ingestion.sources.imports.models import Import
from notifications import broadcasts
from tests.pages import rows
from tests.pages.test_csv import LISTS


def make_one_of_each(alice: User, bob: User, settings: Any) -> None:
    """Make one of everything that has a page. settings: pytest-django's."""
    settings.LINK_HOSTS = ["news.example.org"]
    for of in LISTS:
        of(alice, bob)
    for state in ("pending", "running", "waiting", "completed", "partial"):
        job = rows.job(alice, state, steps=rows.steps(look="completed", fill="running"))
        rows.items(job, {"done": 2, "failed": 2})
        rows.event(job, "Box stored")
    rows.inbox_of(alice)
    Schedule.objects.create(name="Nightly", source="ping", cron="0 6 * * *", zone="UTC", owner=alice)
    Pause.objects.create(scope="source:ping", reason="Upgrade")
    Import.objects.update(definition=DEFAULT.as_json())
    broadcasts.broadcast("Planned maintenance")
