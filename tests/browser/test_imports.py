"""Registers dropped on the page: loaded live in every look, reviewed by a person."""

import re

import pytest
from playwright.sync_api import expect

from ingestion.models import Job, State
from ingestion.sources.imports.models import Unit
from ingestion.sources.imports.sample.generate import FILE
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LIVE = "#conn[data-status=live]"
LOOKS = {"dark": {"color_scheme": "dark", "width": 1280}, "phone": {"color_scheme": "light", "width": 390}}


@pytest.fixture
def works(engine):
    """A worker and a keeper that really run what is started."""
    engine.keeper()
    engine.worker()
    return engine


def drop(page, name: str, content: bytes) -> None:
    """Give the start form a file and send it."""
    page.set_input_files("#start input[type=file]", {"name": name, "mimeType": "text/csv", "buffer": content})
    page.click("#start button[type=submit]")


def test_the_sample_is_loaded_live_in_light_dark_and_on_a_phone(
    page, context, signed_in, alice, works, violations, picture
):
    signed_in(alice, "/?kind=imports")
    drop(page, "register.csv", FILE.read_bytes())
    page.wait_for_url("**/jobs/*/")
    pages = {"light": page}
    for look, how in LOOKS.items():
        pages[look] = context.new_page()
        pages[look].set_viewport_size({"width": how["width"], "height": 900})
        pages[look].emulate_media(color_scheme=how["color_scheme"])
        pages[look].goto(page.url)
    for one in pages.values():
        one.evaluate("window.same = true")
        expect(one.locator(LIVE)).to_be_visible(timeout=10_000)
    for look, one in pages.items():
        expect(one.locator(".badge.lg")).to_have_text("Complete", timeout=60_000)
        expect(one.locator("#main")).to_contain_text("5,000 rows loaded", timeout=10_000)
        assert one.evaluate("window.same === true"), f"{look} was loaded again"
        assert violations(one) == []
        picture(one, f"import-{look}")
    assert Unit.objects.count() == 5000
    assert page.watched.wrong == []


REVIEWED = b"tax_ident,name,employees\n1,Aspen Bakery,12\n2,Birch Mill,many\n3,Cedar Forge,7\n"


def waiting_for_review(page) -> Job:
    """Return the job when its page asks for a decision."""
    page.wait_for_url("**/jobs/*/")
    expect(page.locator(".badge.lg")).to_have_text(re.compile("review"), timeout=40_000)
    return Job.objects.get(state=State.WAITING)


def test_a_person_approves_what_has_errors_and_the_good_rows_are_loaded(page, signed_in, alice, works):
    signed_in(alice, "/?kind=imports")
    drop(page, "reviewed.csv", REVIEWED)
    job = waiting_for_review(page)
    assert not Unit.objects.exists()  # nothing is written before approval
    page.goto(page.url.split("/jobs/")[0] + job.get_absolute_url() + "review/")
    expect(page.locator("#main")).to_contain_text("employees")
    page.click("form:has(input[name=answer][value=approve]) button[type=submit]")
    until(lambda: Job.objects.get(pk=job.pk).is_final, 40, "the end of the import")
    assert sorted(Unit.objects.values_list("name", flat=True)) == ["Aspen Bakery", "Cedar Forge"]


def test_a_person_rejects_with_a_reason_and_nothing_is_written(page, signed_in, alice, works):
    signed_in(alice, "/?kind=imports")
    drop(page, "reviewed.csv", REVIEWED)
    job = waiting_for_review(page)
    page.goto(page.url.split("/jobs/")[0] + job.get_absolute_url() + "review/")
    page.click("button[popovertarget=reject]")
    page.fill("#reject textarea", "The wrong year")
    page.click("#reject button[type=submit]")
    until(lambda: Job.objects.get(pk=job.pk).is_final, 40, "the end of the import")
    job.refresh_from_db()
    assert (job.state, job.error["code"]) == (State.CANCELLED, "rejected")
    assert "The wrong year" in job.error["text"]
    assert not Unit.objects.exists()
