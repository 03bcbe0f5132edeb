"""Registers dropped on the page: loaded live in every look, reviewed by a person."""

import re

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from playwright.sync_api import expect

from ingestion.models import Job, State
from ingestion.sources.imports.models import Import, Unit
from ingestion.sources.imports.sample.generate import FILE
from tests.browser.conftest import sign_in
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


MESSY = (
    b"Reg. no,Business title,Staff\n"
    + b"".join(b"%03d,Aspen %d,%d\n" % (n, n, n % 9) for n in range(200))
    + b"900,Birch Mill,many\n901,Cedar Forge,several\n902,,3\n"
)


@pytest.mark.seed("UX40")
def test_a_file_is_matched_mended_approved_and_loaded_live(
    page, signed_in, alice, works, engine, violations, picture
):
    """UX40: created and updated are together what the button said."""
    engine.worker("analytics")
    signed_in(alice, "/?kind=imports")
    drop(page, "november.csv", MESSY)
    page.wait_for_url("**/jobs/*/")
    page.get_by_role("link", name="Review").click(timeout=40_000)
    expect(page.get_by_label("Staff in the register")).to_have_value("")
    page.evaluate("window.same = true")
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    expect(page.get_by_label("Reg. no in the register")).to_have_value("tax_ident")
    expect(page.get_by_label("Business title in the register")).to_have_value("name")
    picture(page, "import-match")
    assert violations(page) == []
    page.get_by_label("Staff in the register").select_option("employees")
    page.get_by_role("button", name="Go on").click()

    approve = page.locator("#approve")
    expect(approve).to_have_text("Approve 200 rows", timeout=40_000)
    page.evaluate("window.same = true")
    assert not Unit.objects.exists()  # nothing is written before approval
    assert violations(page) == []
    picture(page, "import-review")
    cause = page.locator("tr", has_text="is not a whole number").filter(has=page.locator("select"))
    cause.locator("select").select_option("empty")
    cause.get_by_role("button", name="Apply").click()
    expect(approve).to_have_text("Approve 202 rows")
    expect(page.locator("dl.stats")).to_contain_text("202")
    page.keyboard.press("n")
    expect(page.locator("[data-problem]:focus")).to_have_count(1)
    approve.click()
    expect(page.locator(".badge.lg")).to_have_text("Completed with errors", timeout=60_000)  # 1 row
    expect(page.locator("#import")).to_contain_text("Approved by alice")
    expect(page.locator("#import")).to_contain_text("202 rows are in the register")
    assert page.evaluate("window.same === true"), "the page was loaded again"
    assert Unit.objects.count() == 202
    assert Unit.objects.get(tax_ident="900").employees is None
    assert violations(page) == []
    picture(page, "import-result")
    page.get_by_role("link", name="Charts").click()
    expect(page.locator("#charts svg.chart").first).to_be_visible(timeout=60_000)
    expect(page.get_by_role("region", name=re.compile("figures")).first).to_contain_text("202")
    assert page.watched.wrong == []


def test_of_two_reviewers_the_second_is_told_what_changed_and_who_approved(
    page, browser, site, signed_in, alice, works, violations, picture
):
    """A decision about what one has not seen is refused; an approval elsewhere takes the buttons away."""
    jonas = User.objects.create_user("jonas", first_name="Jonas", last_name="Weber")
    jonas.user_permissions.add(Permission.objects.get(codename="review"))
    signed_in(alice, "/?kind=imports")
    drop(page, "reviewed.csv", REVIEWED + b"4,,3\n")
    waiting_for_review(page)
    imported = Import.objects.get()
    page.goto(site + imported.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    theirs = browser.new_context()
    sign_in(theirs, jonas, site.removeprefix("http://"))
    other = theirs.new_page()
    other.goto(site + imported.get_absolute_url())
    expect(other.locator(LIVE)).to_be_visible(timeout=10_000)

    # Both decide at once: alice's page has not heard of it when she clicks.
    own = re.compile(r"/imports/\d+/$")
    page.route(own, lambda route: route.abort())  # it hears, but cannot renew itself yet
    row = other.locator("tr", has_text="is not a whole number").filter(has=other.locator("select"))
    row.locator("select").select_option("empty")
    row.get_by_role("button", name="Apply").click()
    expect(other.locator("#approve")).to_have_text("Approve 3 rows")
    page.evaluate("window.same = true")
    expect(page.locator("#approve")).to_have_text("Approve 2 rows")
    page.locator("#approve").click()
    expect(page.get_by_role("alert")).to_have_text(
        re.compile("This has changed since you opened the page, so nothing was done.")
    )
    expect(page.locator("#approve")).to_have_text("Approve 3 rows")
    page.unroute(own)

    other.locator("#approve").click()
    expect(page.locator("#import")).to_contain_text(
        re.compile(r"Approved by Jonas Weber at \d\d:\d\d"), timeout=20_000
    )
    expect(page.locator("#approve")).to_have_count(0)
    for one in (page, other):
        expect(one.locator("#import")).to_contain_text("3 rows are in the register", timeout=40_000)
        assert violations(one) == []
    assert page.evaluate("window.same === true"), "the page was loaded again"
    assert Unit.objects.count() == 3
    theirs.close()


@pytest.mark.parametrize(("look", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_the_charts_renew_themselves_when_an_import_was_derived(
    page, signed_in, alice, engine, violations, picture, look, width
):
    from ingestion import lifecycle
    from tests.imports.conftest import store

    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=look)
    signed_in(alice, "/charts/")
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    expect(page.locator("#charts")).to_contain_text("There are no figures yet")
    page.evaluate("window.same = true")
    engine.keeper()
    engine.worker()
    engine.worker("analytics")
    lifecycle.create("imports", {"file": store(alice, FILE.read_bytes())}, owner=alice)
    expect(page.locator("#charts svg.chart")).to_have_count(4, timeout=60_000)
    by_size = page.locator("section[aria-labelledby=size-h]")
    units = by_size.locator("tbody td:nth-of-type(1)").all_inner_texts()
    assert sum(int(text.replace(",", "")) for text in units) > 1000
    assert by_size.locator("svg text.val").all_text_contents() == units
    assert page.evaluate("window.same === true")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert violations(page) == []
    picture(page, f"charts-{look}-{width}")
    assert page.watched.wrong == []


@pytest.mark.seed("UX38")
def test_a_dropped_file_shows_its_progress_and_can_be_stopped(
    page, context, signed_in, alice, violations, picture
):
    """UX38: what is wrong with a file is said before it is sent."""
    signed_in(alice, "/imports/")
    field = page.locator("#upload-file")
    field.set_input_files({"name": "a.pdf", "mimeType": "application/pdf", "buffer": b"%PDF"})
    expect(page.locator("#upload-said")).to_contain_text("a.pdf is no")
    field.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b""})
    expect(page.locator("#upload-said")).to_have_text("The file is empty.")

    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000}
    devtools.send("Network.emulateNetworkConditions", slow)
    register = b"tax_ident,name\n" + b"".join(b"%06d,Unit\n" % n for n in range(80_000))
    field.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": register})
    expect(page.locator("#upload [role=progressbar]")).to_have_attribute(
        "aria-valuenow", re.compile("^[1-9]"), timeout=20_000
    )
    assert violations(page) == []
    picture(page, "import-upload")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#upload-said")).to_have_text("The upload was cancelled. Nothing was kept.")
    expect(field).to_be_enabled()

    devtools.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    page.locator("[data-drop]").dispatch_event(
        "drop",
        {
            "dataTransfer": page.evaluate_handle(
                """() => { const given = new DataTransfer();
                given.items.add(new File(["tax_ident,name\\n1,a\\n"], "dropped.csv", {type: "text/csv"}));
                return given; }"""
            )
        },
    )
    page.wait_for_url("**/imports/new/*/")
    expect(page.locator("h1")).to_have_text("dropped.csv")
    assert violations(page) == []
    picture(page, "import-start")
    page.get_by_role("button", name="Start import").click()
    page.wait_for_url("**/jobs/*/")
    assert page.watched.wrong == []


def test_a_file_of_who_was_signed_out_meanwhile_asks_for_a_sign_in(page, context, signed_in, alice):
    signed_in(alice, "/imports/")
    context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.set_input_files("#upload-file", {"name": "a.csv", "mimeType": "text/csv", "buffer": REVIEWED})
    expect(page.locator("#upload-said")).to_have_text("You are signed out. Sign in and send it again.")
    expect(page.locator("#upload-file")).to_be_enabled()


def test_a_file_given_at_home_is_sent_while_the_rest_is_filled_in(
    page, context, signed_in, alice, violations, picture
):
    signed_in(alice, "/?kind=imports")
    field, said = page.locator("#start input[type=file]"), page.locator("#start [data-said]")
    field.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b""})
    expect(said).to_have_text("The file is empty.")
    field.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b"\x7fELF\x02\x01\x01"})
    expect(said).to_have_text("This is not a CSV file.")

    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000}
    devtools.send("Network.emulateNetworkConditions", slow)
    register = b"tax_ident,name\n" + b"".join(b"%06d,Unit\n" % n for n in range(80_000))
    field.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": register})
    expect(page.locator("#start [role=progressbar]")).to_have_attribute(
        "aria-valuenow", re.compile("^[1-9]"), timeout=20_000
    )
    expect(page.get_by_role("button", name="Start ingestion")).to_be_disabled()
    assert violations(page) == []
    picture(page, "home-upload")
    page.locator("#start").get_by_role("button", name="Cancel").click()
    expect(said).to_have_text("The upload was cancelled. Nothing was kept.")

    devtools.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    field.set_input_files({"name": "b.csv", "mimeType": "text/csv", "buffer": b"tax_ident,name\n1,a\n"})
    expect(page.locator("#start [data-here]")).to_have_text("b.csv is here. Choose a file to replace it.")
    page.get_by_role("button", name="Start ingestion").click()
    page.wait_for_url("**/jobs/*/")
    assert Import.objects.get().file_name == "b.csv"
    assert all("status of 4" in one for one in page.watched.wrong)  # what was refused


@pytest.mark.parametrize(("look", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
@pytest.mark.parametrize("asked", ["match", "review"])
def test_what_an_import_asks_can_be_read_and_used_in_every_look(
    page, signed_in, alice, violations, picture, look, width, asked
):
    from ingestion.testing import run_inline
    from tests.imports.conftest import store

    rows = b'3,,5,5,2020-01-01\n4,d,two,"1,234",2020-01-01\n5,e,3,5,14/14/2019\n5,f,3,5,\n'
    header = b"tax_ident,name,employees,turnover,birth_date\n" if asked == "review" else b"A,B,C,D,E\n"
    run_inline("imports", alice, file=store(alice, header + rows, "november.csv"), review="always")
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=look)
    imported = Import.objects.get()
    signed_in(alice, imported.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert violations(page) == []
    if asked == "match":
        expect(page.locator("#lacks")).to_contain_text("Still needed: Identifier")
    else:
        cause = page.locator("tr", has_text="is not a whole number").filter(has=page.locator("select"))
        given = cause.get_by_label("Value for all these rows")
        expect(given).to_be_hidden()
        cause.locator("select").select_option("value")
        expect(given).to_be_visible()
        assert violations(page) == []
        given.fill("many")
        cause.get_by_role("button", name="Apply").click()
        expect(page.get_by_role("alert")).to_contain_text('"many" is not a whole number')
        assert violations(page) == []
        page.get_by_role("button", name="Reject import").click()
        assert violations(page) == []
    picture(page, f"import-{asked}-{look}-{width}")
    assert page.watched.wrong == [] or all("status of 400" in one for one in page.watched.wrong)
