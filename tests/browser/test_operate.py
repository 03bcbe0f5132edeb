"""The pages of operators in a real browser: accessible, in both themes, on a phone, within the CSP."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db.models.functions import Now
from playwright.sync_api import expect

from ingestion import schedules
from ingestion.models import Job, Pause, Process, Schedule
from tests.pages import rows

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LOOKS = {"light": ("light", 1280), "dark": ("dark", 1280), "phone": ("light", 390)}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    cache.clear()


def of_schedules(alice: Any, staff: Any) -> str:
    """Make schedules in every state and return the list's address."""
    given = {"source": "ping", "cron": "0 6 * * *", "zone": "Europe/Oslo"}
    for owner, name, paused in (
        (alice, "Nightly " + "withoutaspace" * 9, False),
        (alice, "By hand", True),
        (staff, "Refused", False),
    ):
        schedules.put(Schedule(name=name, owner=owner, paused=paused, **given))
    Schedule.objects.filter(name="Refused").update(next_at=None, last_error="You have 100 jobs, the limit.")
    Schedule.objects.filter(name="By hand").update(
        last_job=rows.job(alice, "partial"), last_at=Now() - timedelta(hours=2)
    )
    return "/schedules/"


def of_a_schedule(alice: Any, staff: Any) -> str:
    of_schedules(alice, staff)
    return f"/schedules/{Schedule.objects.get(name='Refused').pk}/"


def of_no_schedules(alice: Any, staff: Any) -> str:
    return "/schedules/?show=paused"


def of_overview(alice: Any, staff: Any) -> str:
    """Make everything that the overview can show."""
    for n in range(12):
        code = {"code": f"cause_{n % 3}", "text": "What went wrong, " + "withoutaspace" * 9}
        job = rows.job(alice, ("completed", "failed", "partial")[n % 3], error=code if n % 3 == 1 else None)
        Job.objects.filter(pk=job.pk).update(finished_at=Now() - timedelta(minutes=3 * n))
    for state in ("running", "running", "running", "pending"):
        rows.job(alice, state)
    Process.objects.create(name="keeper-1", role="keeper", host="here", pid=1)
    for n, (queue, ago) in enumerate([("default", 1), ("default", 20), ("light", 90)]):
        made = Process.objects.create(name=f"w{n}", role="worker", host="here", pid=n, queue=queue)
        Process.objects.filter(pk=made.pk).update(beat_at=Now() - timedelta(seconds=ago))
    Pause.objects.create(scope="queue:light", reason="We look at something.", by=staff)
    return "/operate/"


def of_an_empty_overview(alice: Any, staff: Any) -> str:
    return "/operate/?within=1h"


def of_dead_letters(alice: Any, staff: Any) -> str:
    for n in range(4):
        job = rows.job(alice, "failed" if n else "partial", subject="withoutaspace" * 9)
        rows.event(job, "The worker was lost; starting again", "warning")
        rows.items(job, {"done": 3, "quarantined": 5 if n == 0 else n})
    return "/dead-letters/"


def of_all_that_match(alice: Any, staff: Any) -> str:
    for state in ("failed", "failed", "running", "completed"):
        rows.job(alice, state)
    return "/jobs/all/?q=withoutaspacewithoutaspacewithoutaspacewithoutaspace"


def of_all_jobs(alice: Any, staff: Any) -> str:
    of_all_that_match(alice, staff)
    return "/jobs/all/"


PAGES = [
    of_all_that_match,
    of_all_jobs,
    of_dead_letters,
    of_schedules,
    of_a_schedule,
    of_no_schedules,
    of_overview,
    of_an_empty_overview,
]


@pytest.mark.seed("SEC37")
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("of", PAGES)
def test_a_page_is_accessible_within_the_csp_and_never_wider_than_a_phone(
    of: Any, look: str, page: Any, signed_in: Any, alice: Any, staff: Any, violations: Any, picture: Any
) -> None:
    scheme, width = LOOKS[look]
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    signed_in(staff, of(alice, staff))
    picture(page, f"{of.__name__}-{look}")
    assert violations(page) == []
    for narrow in (width, 320) if look == "phone" else (width,):
        page.set_viewport_size({"width": narrow, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= narrow
    assert page.watched.wrong == []


def test_the_overview_follows_what_happens(page: Any, signed_in: Any, alice: Any, staff: Any) -> None:
    signed_in(staff, "/operate/")
    expect(page.get_by_text("No job failed.")).to_be_visible()
    rows.job(alice, "failed", error={"code": "timed_out", "text": "It took too long."})
    cause = page.locator("#o-cause-1")
    expect(cause).to_have_text("1 of Shelves with the error Timed out")
    cause.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/?state=failed&source=shelves&error=timed_out&within=24h")
    expect(page.get_by_text("Ended within the last 24 hours")).to_be_visible()
    expect(page.get_by_text("1 shown")).to_be_visible()
    assert page.watched.wrong == []


def test_a_schedule_is_paused_and_edited_by_keyboard(
    page: Any, signed_in: Any, alice: Any, violations: Any
) -> None:
    page.emulate_media(reduced_motion="reduce")
    made = schedules.put(
        Schedule(name="Nightly", source="ping", cron="0 6 * * *", zone="Europe/Oslo", owner=alice)
    )
    signed_in(alice, "/schedules/")
    page.locator(f"#pause-{made.pk}").focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"#resume-{made.pk}")).to_be_visible()
    page.locator(f"#edit-{made.pk}").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Cron").fill("at six")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is not a cron expression")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("Cron").fill("30 7 * * *")
    page.get_by_role("button", name="Show its next runs").press("Enter")
    expect(page.get_by_role("listitem").filter(has_text=", 07:30")).to_have_count(5)
    assert Schedule.objects.get().cron == "0 6 * * *"
    page.get_by_role("button", name="Save").press("Enter")
    page.wait_for_url("**/schedules/")
    expect(page.get_by_text("30 7 * * *")).to_be_visible()
    # 422 is what a refused form is answered with.
    assert [one for one in page.watched.wrong if "status of 422" not in one] == []
