"""Times as the reader sees them: in their zone, in the words of UX 3.3, and right when the clock is not."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from ingestion import figures
from ingestion.models import JobEvent
from ingestion.templatetags.headway import at_clock
from tests.pages import rows

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LATE = datetime(2025, 3, 1, 22, 30, 5, tzinfo=UTC)
NEXT_DAY = LATE + timedelta(hours=6)


def in_zone(name, *expected, **context):
    return pytest.param(
        name, *expected, id=name, marks=pytest.mark.browser_context_args(timezone_id=name, **context)
    )


def ended_long_ago(owner):
    job = rows.job(owner, "completed", created_at=LATE, started_at=LATE, finished_at=NEXT_DAY)
    rows.event(job, "Begun")
    JobEvent.objects.filter(job=job).update(at=LATE)
    return job


@pytest.mark.parametrize(
    ("zone", "clock", "full", "day"),
    [
        in_zone("America/New_York", "1 Mar 17:30", "1 March 2025, 17:30:05 UTC-05:00", "1 Mar 2025"),
        in_zone("Asia/Kathmandu", "2 Mar 04:15", "2 March 2025, 04:15:05 UTC+05:45", "2 Mar 2025"),
        in_zone("UTC", "1 Mar 22:30", "1 March 2025, 22:30:05 UTC", "2 Mar 2025"),
    ],
)
def test_times_are_in_the_readers_zone(zone, clock, full, day, page, signed_in, alice, violations):
    signed_in(alice, ended_long_ago(alice).get_absolute_url())
    event = page.locator("#feed li").first.locator("time")
    expect(event).to_have_text(clock)
    expect(event).to_have_attribute("title", full)
    expect(event).to_have_attribute("datetime", "2025-03-01T22:30:05Z")
    expect(page.locator(".page-head time")).to_have_text(day)
    named = zone.replace("_", " ").replace("Kathmandu", "Kath?mandu")  # browsers spell it as it once was
    expect(page.locator("#nav footer > span:first-child")).to_have_text(re.compile(f"^Times in {named}$"))
    assert violations(page) == []
    assert page.watched.wrong == []


@pytest.mark.parametrize("zone", [in_zone("Pacific/Kiritimati"), in_zone("Pacific/Pago_Pago")])
def test_the_day_is_the_readers(zone, page, signed_in, alice):
    """Never the same in both: 25 hours lie between them."""
    signed_in(alice)
    time = page.locator(".page-head time")
    at = datetime.fromisoformat(time.get_attribute("datetime")).astimezone(ZoneInfo(zone))
    expect(time).to_have_text(f"{at:%A} {at.day} {at:%B %Y}")


@pytest.mark.parametrize("zone", [in_zone("America/New_York")])
def test_a_part_that_is_swapped_in_is_in_the_readers_zone_at_once(zone, page, signed_in, alice):
    job = ended_long_ago(alice)
    signed_in(alice, job.get_absolute_url())
    rows.event(job, "Late news")
    JobEvent.objects.filter(job=job, message="Late news").update(at=NEXT_DAY)
    shown = page.evaluate(
        """() => new Promise((done) => {
             document.addEventListener("htmx:afterSettle", () =>
               done([...document.querySelectorAll("#feed time")].map((time) => time.textContent)));
             htmx.ajax("GET", location.pathname, {target: "#job", swap: "outerHTML"}) })"""
    )
    assert shown == ["1 Mar 17:30", "1 Mar 23:30"]


@pytest.mark.parametrize("zone", [in_zone("America/New_York", java_script_enabled=False)])
def test_without_script_times_are_utc_and_say_so(zone, page, signed_in, alice):
    signed_in(alice, ended_long_ago(alice).get_absolute_url())
    event = page.locator("#feed time").first
    expect(event).to_have_text("1 Mar 22:30")
    expect(event).to_have_attribute("title", "1 March 2025, 22:30:05 UTC")
    expect(page.locator("#nav footer > span:first-child")).to_have_text("Times in UTC")


def test_ages_grow_by_the_clock_of_the_server(page, signed_in, alice):
    rows.job(alice, "completed", finished_at=timezone.now() - timedelta(seconds=90))
    page.clock.install(time=timezone.now() + timedelta(hours=3))  # the reader's clock is wrong
    signed_in(alice)
    age = page.locator("td time")
    expect(age).to_have_text("1 min ago")
    page.clock.run_for(120_000)
    expect(age).to_have_text("3 min ago")


@pytest.mark.parametrize("zone", [in_zone(name) for name in ("America/New_York", "Asia/Kathmandu", "UTC")])
def test_script_and_server_use_the_same_words(zone, page, signed_in, alice):
    here = ZoneInfo(zone)
    starts = [datetime(2026, month, 1, 12, tzinfo=UTC) for month in (1, 3, 9, 11)]
    ages = [
        0,
        59,
        60,
        3599,
        3600,
        86399,
        86400,
        *range(90_000, 40_000_000, 1_234_567),
        *range(86_400, 260_000, 7000),
    ]
    cases = [(now - timedelta(seconds=age), now) for now in starts for age in ages]
    signed_in(alice)
    written = page.evaluate(
        """async (cases) => {
             const times = await import(document.querySelector('script[src*="headway/times"]').src);
             return cases.map(([at, now]) => [times.agoText(new Date(at), new Date(now)),
                                              times.fullText(new Date(at))]) }""",
        [[at.isoformat(), now.isoformat()] for at, now in cases],
    )
    with timezone.override(here):
        said = [
            [
                figures.ago(at.astimezone(here), now.astimezone(here)),
                re.search('title="([^"]*)"', at_clock(at))[1],
            ]
            for at, now in cases
        ]
    assert written == said


@pytest.mark.parametrize("zone", [in_zone("America/New_York")])
def test_the_full_time_shows_on_focus(zone, page, signed_in, alice):
    signed_in(alice, ended_long_ago(alice).get_absolute_url())
    page.locator("#feed").focus()
    page.keyboard.press("Tab")
    tip = """getComputedStyle(document.activeElement.querySelector("time"), "::after").content"""
    assert page.evaluate(tip) == '"1 March 2025, 17:30:05 UTC-05:00"'
