"""Every page in a real browser: accessible, in both themes, on a phone, within the CSP."""

import pytest
from django.contrib.auth.models import Permission

from ingestion.models import Job
from notifications import broadcasts
from notifications.models import Notification
from tests.browser.conftest import LINK_HOST
from tests.pages import rows

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LOOKS = {
    "light": {"color_scheme": "light", "width": 1280},
    "dark": {"color_scheme": "dark", "width": 1280},
    "phone": {"color_scheme": "light", "width": 390},
}
PAGES = [
    "home", "home-empty", "jobs", "jobs-empty", "running", "waiting", "many-errors", "failed", "queued",
    "inbox", "inbox-empty", "inbox-picked", "bell", "snooze", "messages", "leave", "account",
    "404", "refused-form", "signin", "signin-wrong", "signed-out", "403", "409",
]  # fmt: skip


@pytest.fixture(autouse=True)
def link_hosts(settings):
    settings.LINK_HOSTS = [LINK_HOST]  # as the served site has it


def scene(name, alice, bob):
    """Make what a page shows and return its address."""
    steps = rows.steps(look="completed", fill="running")
    running = {"steps": steps, "progress": 0.67, "rate": 3.1, "eta_seconds": 180, "message": "Reading box 17"}
    if name in ("home", "jobs"):
        one = rows.job(
            alice, "running", title="Shelves", subject="a very long name of a shelf " * 4, **running
        )
        rows.items(one, {"done": 15, "failed": 1, "pending": 8})
        for state in ("pending", "waiting", "completed", "partial", "failed", "cancelled"):
            rows.job(alice, state)
        rows.items(Job.objects.get(state="partial"), {"done": 12, "failed": 3})
    if name in ("running", "failed", "queued", "waiting"):
        state = "pending" if name == "queued" else name
        job = rows.job(alice, state, **(running if state == "running" else {"steps": steps}))
        if state != "pending":
            rows.items(job, {"done": 15, "failed": 1, "pending": 8})
        for n in range(12):
            rows.event(job, f"Box {n} stored", level=["info", "success", "warning", "error"][n % 4])
        return job.get_absolute_url()
    if name == "many-errors":
        job = rows.job(
            alice, "partial", steps=rows.steps(look="completed", fill="completed", tidy="completed")
        )
        rows.items(job, {"done": 300, "failed": 20, "skipped": 3})
        job.items.filter(state="failed", ordinal__lt=308).update(error_code="timed_out", tries=3)
        return job.get_absolute_url()
    if name in ("inbox", "inbox-picked", "bell", "snooze"):
        rows.inbox_of(alice)
        if name == "snooze":
            return f"/inbox/snooze/?pick={Notification.objects.first().pk}"
    return {
        "inbox": "/inbox/",
        "inbox-empty": "/inbox/",
        "inbox-picked": "/inbox/",
        "account": "/account/",
        "jobs": "/jobs/",
        "jobs-empty": "/jobs/?state=failed",
        "404": "/jobs/nothing/",
        "leave": f"/inbox/leave/?to=https%3A%2F%2F{LINK_HOST}%2Fnews%3Fof%3D" + "withoutaspace" * 9,
    }.get(name, "/")


def opened(name, page, open_as, alice, bob):
    path = scene(name, alice, bob)
    if name.startswith("signin"):
        page.goto(open_as.site + "/signin/?next=/jobs/")
        if name == "signin-wrong":
            page.fill("[name=username]", "maya")
            page.fill("[name=password]", "wrong")
            page.click("button[type=submit]")
            page.wait_for_selector("[role=alert]")
        return
    open_as(alice, path)
    if name == "signed-out":
        page.click("[popovertarget=account]")
        page.click("#account button[type=submit]")
        page.wait_for_url("**/signout/")
    if name == "inbox-picked":
        page.check("[data-pick-all]")
    if name == "bell":
        page.click("#bell-btn")
        page.wait_for_selector("#bell-body .notice")
    if name == "messages":
        page.wait_for_selector("#conn[data-status=live]")
        for level in ("success", "warning", "error"):
            rows.note(alice, f"The {level} of it", text="24 filings.", level=level, url="/jobs/")
        page.wait_for_selector(".toast:nth-child(3)")
    if name == "refused-form":
        page.goto(open_as.site + "/?kind=shelves")
        page.eval_on_selector("#start form", "form => form.noValidate = true")
        page.fill("[name=start-n]", "9999")
        page.click("#start button[type=submit]")
        page.wait_for_selector("#start [aria-invalid]")
    if name in ("403", "409"):
        owner, state = (bob, "running") if name == "403" else (alice, "completed")
        job = rows.job(owner, state)
        if name == "403":
            from notifications import inbox

            inbox.follow(alice, job.stream)
        page.evaluate(
            """(path) => { const form = document.querySelector("#account form");
                        form.action = path; form.submit() }""",
            f"{job.get_absolute_url()}cancel/",
        )
        page.wait_for_url("**/cancel/")


@pytest.mark.seed("SEC37")
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_within_the_csp(
    name, look, page, signed_in, site, alice, bob, violations, picture
):
    """UX 44, 48."""
    page.set_viewport_size({"width": LOOKS[look]["width"], "height": 900})
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"], reduced_motion="reduce")
    outside = []
    page.on("request", lambda request: request.url.startswith(site) or outside.append(request.url))
    signed_in.site = site
    opened(name, page, signed_in, alice, bob)
    picture(page, f"{name}-{look}")
    assert violations(page) == []
    expected = {"404": "404", "403": "403", "409": "409", "refused-form": "422"}.get(name)
    wrong = [one for one in page.watched.wrong if not (expected and f"status of {expected}" in one)]
    assert wrong == []
    assert [url for url in outside if not url.startswith("data:") and not url.startswith("ws")] == []


@pytest.mark.parametrize("look", LOOKS)
def test_sending_to_everybody_is_accessible(look, page, signed_in, staff, violations, picture):
    staff.user_permissions.add(Permission.objects.get(codename="send_broadcast"))
    page.set_viewport_size({"width": LOOKS[look]["width"], "height": 900})
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    broadcasts.broadcast("Planned maintenance", text="On Sunday.")
    signed_in(staff, "/admin/notifications/broadcast/")
    assert violations(page) == []
    page.goto(page.url + "add/")
    page.get_by_label("Title").fill("New office")
    page.get_by_label("Link").fill("javascript:alert(1)")
    page.get_by_role("button", name="Preview").click()
    page.locator(".errorlist").wait_for()
    assert violations(page) == []
    page.get_by_label("Link").fill("/jobs/")
    picture(page, f"broadcast-form-{look}")
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("heading", name="New office").wait_for()
    picture(page, f"broadcast-preview-{look}")
    assert violations(page) == []


@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways(name, page, signed_in, site, alice, bob):
    """UX 45."""
    page.set_viewport_size({"width": 320, "height": 800})
    signed_in.site = site
    opened(name, page, signed_in, alice, bob)
    for width in (320, 768, 1024):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("path", ["/", "/jobs/"])
def test_names_stay_readable_on_a_phone(path, page, signed_in, alice, bob):
    page.set_viewport_size({"width": 390, "height": 800})
    scene("jobs", alice, bob)
    signed_in(alice, path)
    assert page.eval_on_selector("td.clip", "cell => cell.getBoundingClientRect().width") >= 120


def test_the_theme_can_be_switched_and_stays(page, signed_in, alice):
    page.emulate_media(color_scheme="light")
    signed_in(alice)
    page.click("[data-switch-theme]")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_nothing_moves_with_reduced_motion(page, signed_in, alice):
    """UX 46."""
    page.emulate_media(reduced_motion="reduce")
    signed_in(alice, scene("running", alice, None))
    moving = "document.getAnimations().filter((a) => a.playState === 'running').length"
    assert page.evaluate(moving) == 0


def test_badges_keep_a_border_with_forced_colours(page, signed_in, alice):
    """UX 46."""
    page.emulate_media(forced_colors="active")
    signed_in(alice, scene("running", alice, None))
    assert page.eval_on_selector(".badge", "e => getComputedStyle(e).borderTopWidth") == "1px"


def test_hostile_text_runs_nowhere(page, signed_in, alice):
    """SEC34."""
    evil = (
        """"><img src=x onerror=alert(1)><script>alert(2)</script>'"`{{7*7}}${alert(3)}<svg/onload=alert()>"""
    )
    job = rows.job(alice, "partial", title=evil, subject=evil[:150])
    rows.items(job, {"done": 1, "failed": 2}, label=evil, error=evil, url="javascript:alert(5)")
    rows.event(job, evil)
    for path in ("/", "/jobs/", job.get_absolute_url(), f"/jobs/?q={evil}"):
        signed_in(alice, path)
        page.wait_for_load_state("load")
    assert page.watched.wrong == []
