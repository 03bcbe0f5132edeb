"""Documents dropped on a workspace: watched, found the moment one is ready, mended when one fails."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections
from playwright.sync_api import expect

from ingestion import embedders, lifecycle, source, uploads
from ingestion.embedders import DEFAULT_EMBEDDER
from ingestion.models import Job, State
from ingestion.sources.documents import members, workspaces
from ingestion.sources.documents.models import Document, Role, Workspace
from ingestion.testing import resume_inline
from tests.browser.conftest import sign_in
from tests.documents.conftest import Counting, store
from tests.documents.making import locked, pdf
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LIVE = "#conn[data-status=live]"
OTTERS = "Otters hold hands while they sleep, so that no current parts them."
DROP = """([zone, files]) => {
  const transfer = new DataTransfer();
  for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
  document.querySelector(zone).dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true}));
}"""


class Held(Counting):
    """Makes its first vectors when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def encode(self, texts: Any) -> Any:
        assert self.go.wait(60)
        return super().encode(texts)


def drop(page: Any, **files: bytes) -> None:
    # The form comes with the news that a workspace is ready; what is dropped before it is bound is nobody's.
    page.wait_for_selector("[data-documents] [data-plain][hidden]", state="attached")
    named = [(name.replace("_", "."), list(data)) for name, data in files.items()]
    page.evaluate(DROP, ["[data-drop]", named])


def work_off(name: str) -> Job:
    document = Document.objects.select_related("job").get(name=name)
    return resume_inline(document.job)


@contextmanager
def working_off(name: str, encoder: Held) -> Iterator[None]:
    """Process a document beside what is done meanwhile: it goes on to its end after that."""

    def work() -> State:
        try:
            return State(work_off(name).state)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as beside:
        ended = beside.submit(work)
        try:
            yield
        finally:
            encoder.go.set()
        assert ended.result() == State.COMPLETED


def row(page: Any, name: str) -> Any:
    return page.locator("#workspace tbody tr", has_text=name)


@pytest.mark.seed("S3.34", "S3.51")
def test_five_files_are_watched_and_found_as_they_become_ready(
    page, browser, signed_in, site, alice, monkeypatch, violations, picture
):
    """UX 38, 39, and two members who see the same."""
    bob = User.objects.create_user("jonas")
    workspace = workspaces.make(alice, "Rivers", "", status="ready")
    members.add(workspace, bob, Role.EDITOR)
    page.emulate_media(reduced_motion="reduce")  # a message that fades in is no page to judge
    signed_in(alice, workspace.get_absolute_url())
    theirs = browser.new_context()
    sign_in(theirs, bob, site.removeprefix("http://"))
    other = theirs.new_page()
    other.goto(site + workspace.get_absolute_url())
    for one in (page, other):
        expect(one.locator(LIVE)).to_be_visible(timeout=10_000)
        one.evaluate("window.same = true")

    encoder = Held()
    monkeypatch.setitem(embedders._loaded, DEFAULT_EMBEDDER, encoder)
    good = pdf([OTTERS])
    drop(
        page,
        otters_pdf=good,
        locked_pdf=locked(pdf(["A locked word about herons."])),
        scanned_pdf=pdf([b"0 0 m 9 9 l S"]),
        notes_md=b"# Herons\n\nHerons stand still until a fish forgets them.",
        song_mp3=b"ID3 not a document",
    )
    refused = page.locator("[data-uploads] li", has_text="song.mp3")
    expect(refused).to_contain_text("Only PDF, DOCX, HTML, Markdown and text files are read.")
    for one in (page, other):
        expect(one.locator("#workspace tbody tr")).to_have_count(4, timeout=10_000)
        expect(one.locator("#ask-h")).to_have_text("Search 0 ready documents")
    expect(refused).to_be_visible()  # the news of the others did not take it away
    assert violations(page) == []
    picture(page, "workspace-processing")

    # The one that is ready is found while the others wait.
    with working_off("otters.pdf", encoder):
        for one in (page, other):
            running = row(one, "otters.pdf").locator(".steps [aria-current=step]")
            expect(running).to_have_text("Make vectors, in progress", timeout=10_000)
    for one in (page, other):
        expect(row(one, "otters.pdf").locator(".badge")).to_have_text("Ready", timeout=10_000)
        expect(one.locator("#ask-h")).to_have_text("Search 1 ready document")
        expect(one.locator("#workspace")).to_contain_text("3 still processing")
    other.fill("#document-q", "otters sleep")
    other.press("#document-q", "Enter")
    expect(other.get_by_role("list", name="Results")).to_contain_text("otters.pdf")
    expect(other.locator("mark").first).to_have_text("Otters")

    for name, words in (("locked.pdf", "password"), ("scanned.pdf", "text recognition")):
        assert work_off(name).state == State.FAILED
        expect(row(page, name)).to_contain_text(words, timeout=10_000)
        expect(row(page, name).locator(".badge")).to_have_text("Failed")
    assert work_off("notes.md").state == State.COMPLETED

    # As it is it fails again; mended, it is read.
    row(page, "locked.pdf").get_by_role("button", name="Retry locked.pdf").click()
    until(lambda: Document.objects.get(name="locked.pdf").status == "pending")
    assert work_off("locked.pdf").state == State.FAILED
    expect(row(page, "locked.pdf").locator(".badge")).to_have_text("Failed", timeout=10_000)
    row(page, "locked.pdf").get_by_role("button", name="Remove locked.pdf").click()
    expect(row(page, "locked.pdf")).to_have_count(0, timeout=10_000)
    drop(page, opened_pdf=pdf(["A word about herons, open to all."]))
    expect(row(page, "opened.pdf")).to_have_count(1, timeout=10_000)
    assert work_off("opened.pdf").state == State.COMPLETED
    expect(page.locator("#ask-h")).to_have_text("Search 3 ready documents", timeout=10_000)
    assert violations(page) == []
    picture(page, "workspace-ready")
    assert other.evaluate("window.same") is None  # the search was a page of its own
    assert page.watched.wrong == []
    theirs.close()


def test_a_document_that_is_read_shows_what_is_done_of_it(
    page, signed_in, alice, monkeypatch, violations, picture
):
    workspace = workspaces.make(alice, "Rivers", "", status="ready")
    encoder = Held()
    monkeypatch.setitem(embedders._loaded, DEFAULT_EMBEDDER, encoder)
    page.emulate_media(reduced_motion="reduce")
    signed_in(alice, workspace.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    drop(page, otters_pdf=pdf([OTTERS]))
    expect(row(page, "otters.pdf")).to_have_count(1, timeout=10_000)
    page.click("text=otters.pdf")
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    with working_off("otters.pdf", encoder):
        shown = page.locator("[aria-label=Progress]")
        expect(shown.locator("[aria-current=step]")).to_have_text("Make vectors, in progress", timeout=10_000)
        expect(shown).to_contain_text("Processing document...")
        expect(shown).to_contain_text("This may take a few minutes")
        assert violations(page) == []
        picture(page, "document-processing")
    expect(page.locator(".badge.lg")).to_have_text("Ready", timeout=10_000)
    expect(page.locator("[aria-label=Progress]")).to_have_count(0)
    expect(page.locator("#p0")).to_contain_text("Otters hold hands")
    assert violations(page) == []
    assert page.watched.wrong == []


def test_a_file_that_is_sent_without_a_session_says_so(page, signed_in, alice):
    workspace = workspaces.make(alice, "Rivers", "", status="ready")
    signed_in(alice, workspace.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    drop(page, otters_pdf=pdf([OTTERS]))
    refused = page.locator("[data-uploads] li", has_text="otters.pdf")
    expect(refused).to_contain_text("You are signed out. Sign in and send it again.")
    assert not Document.objects.exists()


def test_a_question_that_is_being_typed_stays_when_news_come(page, signed_in, alice, monkeypatch):
    monkeypatch.setitem(embedders._loaded, DEFAULT_EMBEDDER, Counting())
    workspace = workspaces.make(alice, "Rivers", "", status="ready")

    def added(name: str, text: str) -> None:
        params = {"file": store(alice, text, name), "workspace": workspace.pk}
        assert resume_inline(lifecycle.create("documents", params, owner=alice).job).state == State.COMPLETED

    added("first.txt", "Otters cross the river.")
    signed_in(alice, workspace.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    page.fill("#document-q", "otters sleep")
    for _ in range(len("sleep")):
        page.press("#document-q", "ArrowLeft")
    added("second.txt", "Badgers dig.")
    expect(page.locator("#ask-h")).to_have_text("Search 2 ready documents", timeout=10_000)
    page.keyboard.type("and ")
    expect(page.locator("#document-q")).to_have_value("otters and sleep")


@pytest.mark.seed("S3.34")
def test_a_workspace_takes_files_as_soon_as_it_is_ready(page, signed_in, alice):
    job = lifecycle.create("workspaces", {"name": "Rivers"}, owner=alice).job
    workspace = Workspace.objects.get(job=job)
    signed_in(alice, workspace.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    expect(page.locator("[data-drop]")).to_have_count(0)
    assert resume_inline(job).state == State.COMPLETED
    expect(page.locator("[data-drop]")).to_be_visible(timeout=10_000)
    drop(page, otters_pdf=pdf([OTTERS]))
    expect(row(page, "otters.pdf")).to_have_count(1, timeout=10_000)


def kept(page: Any) -> Any:
    """Return the row of an upload that is sent or was refused."""
    return page.locator("[data-uploads] li")


@pytest.mark.seed("S3.50")
def test_an_upload_that_is_cancelled_under_way_leaves_nothing_and_its_place_to_the_next(
    page, signed_in, alice
):
    """UX 38. The requests are held on their way: all are under way for as long as it takes."""
    workspace = workspaces.make(alice, "Rivers", "", status="ready")
    signed_in(alice, workspace.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    held: list[Any] = []
    page.route("**/upload/", lambda route: held.append(route))
    names = [f"river-{n}.txt" for n in range(5)]
    drop(page, **{name.replace(".", "_"): name.encode() for name in names})
    expect(kept(page)).to_have_count(5)
    sending = kept(page).filter(has_text="Uploading")
    expect(sending).to_have_count(3)
    waiting = kept(page).filter(has_text="Waiting")
    expect(waiting).to_have_count(2)
    stopped = sending.first.locator("[data-name]").text_content()
    with page.expect_event("requestfailed") as failed:
        page.get_by_role("button", name=f"Cancel upload of {stopped}").click()
    assert failed.value.url.endswith("/upload/")
    expect(kept(page).filter(has_text=stopped)).to_have_count(0)
    expect(sending).to_have_count(3)  # one that waited has its place
    last = waiting.locator("[data-name]").text_content()
    page.get_by_role("button", name=f"Cancel upload of {last}").click()
    expect(kept(page)).to_have_count(3)
    assert not Document.objects.exists()
    for route in held:
        if route.request.failure is None:
            route.continue_()
    expect(page.locator("#workspace tbody tr")).to_have_count(3, timeout=10_000)
    expect(kept(page)).to_have_count(0)
    assert set(workspace.documents.values_list("name", flat=True)) == set(names) - {stopped, last}


@pytest.mark.seed("S3.50")
def test_a_file_that_is_too_large_or_of_another_kind_is_refused_before_it_is_sent(
    page, signed_in, alice, violations
):
    """UX 38."""
    most = uploads.max_bytes(source.get("documents"))
    workspace = workspaces.make(alice, "Rivers", "", status="ready")
    page.emulate_media(reduced_motion="reduce")
    signed_in(alice, workspace.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    drop(page, song_mp3=b"ID3", empty_txt=b"")
    page.evaluate(
        """most => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(most + 1)], "large.txt"));
        const event = new DragEvent("drop", {dataTransfer: transfer, bubbles: true});
        document.querySelector("[data-drop]").dispatchEvent(event);
    }""",
        most,
    )
    for name, said in (
        ("large.txt", f"The file is larger than the {most >> 20} MB limit."),
        ("empty.txt", "The file is empty."),
        ("song.mp3", "Only PDF, DOCX, HTML, Markdown and text files are read."),
    ):
        expect(kept(page).filter(has_text=name)).to_contain_text(said)
    assert violations(page) == []
    page.get_by_role("button", name="Dismiss large.txt").click()
    expect(kept(page)).to_have_count(2)
    assert [url for url in sent if "/upload/" in url or "/same-name/" in url] == []
    assert not Document.objects.exists()


def test_a_file_of_a_name_that_is_there_is_kept_beside_it_or_replaces_it(
    page, signed_in, alice, monkeypatch, violations
):
    monkeypatch.setitem(embedders._loaded, DEFAULT_EMBEDDER, Counting())
    workspace = workspaces.make(alice, "Rivers", "", status="ready")
    params = {"file": store(alice, "Otters cross.", "river.txt"), "workspace": workspace.pk}
    assert resume_inline(lifecycle.create("documents", params, owner=alice).job).state == State.COMPLETED
    old = workspace.documents.get()
    page.emulate_media(reduced_motion="reduce")
    signed_in(alice, workspace.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    drop(page, river_txt=b"Badgers dig.")
    expect(kept(page)).to_contain_text("A document of this name is here.")
    assert violations(page) == []
    page.get_by_role("button", name="Keep both river.txt").click()
    expect(row(page, "river (2).txt")).to_have_count(1, timeout=10_000)
    drop(page, river_txt=b"Herons wait.")
    page.get_by_role("button", name="Replace river.txt").click()
    expect(page.locator("#workspace tbody tr")).to_have_count(3, timeout=10_000)
    new = workspace.documents.latest("pk")
    assert (new.name, new.job.params["replaces"]) == ("river.txt", old.pk)
    assert resume_inline(new.job).state == State.COMPLETED
    expect(page.locator("#workspace tbody tr")).to_have_count(2, timeout=10_000)
    assert not Document.objects.filter(pk=old.pk).exists()


def test_a_search_looks_where_it_is_told_to_and_says_so(page, signed_in, alice, monkeypatch, violations):
    monkeypatch.setitem(embedders._loaded, DEFAULT_EMBEDDER, Counting())
    workspace = workspaces.make(alice, "Rivers", "", status="ready")
    for name, data in (("river.txt", "Otters cross."), ("lake.pdf", pdf(["Otters sleep."]))):
        params = {"file": store(alice, data, name), "workspace": workspace.pk}
        assert resume_inline(lifecycle.create("documents", params, owner=alice).job).state == State.COMPLETED
    page.emulate_media(reduced_motion="reduce")
    signed_in(alice, workspace.get_absolute_url())
    page.fill("#document-q", "otters")
    page.select_option("#document-format", "pdf")
    page.press("#document-q", "Enter")
    results = page.get_by_role("list", name="Results").get_by_role("listitem")
    expect(results).to_have_count(1)
    expect(results).to_contain_text("lake.pdf")
    expect(page.locator("#workspace")).to_contain_text("Searched 1 of 2 ready documents.")
    expect(page.locator("#document-format")).to_have_value("pdf")
    assert violations(page) == []
    page.select_option("#document-format", "")
    page.fill("#document-name", "RIV")
    page.press("#document-name", "Enter")
    expect(results).to_have_count(1)
    expect(results).to_contain_text("river.txt")
