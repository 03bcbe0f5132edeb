"""What holds for every page: sizes, no inline style, no script without a file, one word per state."""

import gzip
import json
import posixpath
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client

from config.staticfiles import OURS, lean
from ingestion import words
from ingestion.models import ItemState, Level, PendingReason, State
from ingestion.serializers import display
from tests.pages import rows

ROOT = Path(__file__).resolve().parent.parent.parent
IMPORT = re.compile(r"""\bfrom ["'](\.[^"']+)["'];""")
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def zipped(name: str) -> int:
    path = finders.find(name)
    assert path, name
    return len(gzip.compress(Path(path).read_bytes(), 9))


def imported(scripts: set[str]) -> set[str]:
    """Return scripts with those that they import."""
    found = set(scripts)
    for name in scripts:
        text = Path(str(finders.find(name))).read_text()
        near = {posixpath.normpath(f"{posixpath.dirname(name)}/{one}") for one in IMPORT.findall(text)}
        found |= imported(near - found)
    return found


def test_sizes():
    """UX 49, gzipped: CSS 12 KB. The scripts of the live wire: tests/realtime/test_protocol.py."""
    assert zipped("headway/headway.css") <= 12_000


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address", ["/", "/jobs/", "/jobs/{job}/", "/inbox/", "/inbox/settings/", "/status/"]
)
def test_the_scripts_of_a_page_are_small(client: Client, alice, address: str):
    """UX 49, gzipped: own scripts of a page 20 KB, live.js apart; with style and all others 100 KB."""
    job = rows.job(alice, "running")
    client.force_login(alice)
    page = client.get(address.format(job=job.pk)).content.decode()
    scripts = imported(set(re.findall(r'src="/static/([^"]+\.js)"', page)))
    own = sum(zipped(name) for name in scripts if name.startswith("headway/"))
    assert 10_000 < own <= 20_000
    everything = sum(zipped(name) for name in scripts) + zipped("headway/headway.css")
    assert everything <= 100_000


@pytest.fixture
def collected(settings, tmp_path) -> dict[str, str]:
    """Collect the static files into `tmp_path`; return the name of each there."""
    storage = {"staticfiles": {"BACKEND": "config.staticfiles.HashedStorage"}}
    settings.STATIC_ROOT, settings.STORAGES = tmp_path, settings.STORAGES | storage
    call_command("collectstatic", interactive=False, verbosity=0)
    paths: dict[str, str] = json.loads((tmp_path / "staticfiles.json").read_text())["paths"]
    return paths


def test_scripts_of_ours_are_collected_without_their_comments(collected, tmp_path):
    ours = [name for name in collected if name.startswith(OURS) and name.endswith(".js")]
    assert len(ours) > 10
    for name in ours:
        sent = (tmp_path / collected[name]).read_text()
        assert not re.search(r"^\s*//", sent, re.MULTILINE), name
        file = tmp_path / f"{collected[name]}.gz"
        if file.exists():
            with gzip.open(file, "rt") as packed:
                assert packed.read() == sent
        else:  # a few lines are not worth it
            assert len(gzip.compress(sent.encode())) > 0.9 * len(sent.encode())
    others = (tmp_path / collected["admin/js/core.js"]).read_text()
    assert others == Path(str(finders.find("admin/js/core.js"))).read_text()


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        ("// all of it\n  go();\n\n", "go();\n"),
        ("go(); // why\n//\nstop();\n", "go();\nstop();\n"),
        ("const a = 1; // a, and not `b`\n", "const a = 1; // a, and not `b`\n"),
        ("open('https://x.test // y');\n", "open('https://x.test // y');\n"),
        ("const a = `\n  // text\n\n  ${b}`;\n  go();", "const a = `\n  // text\n\n  ${b}`;\ngo();\n"),
    ],
)
def test_what_is_no_comment_stays(script, sent):
    assert lean(script) == sent


def test_what_scripts_import_has_the_hash_of_its_content_in_its_name(collected, tmp_path):
    """They are kept for a year."""
    names = collected
    found = {
        posixpath.normpath(f"{posixpath.dirname(name)}/{one}")
        for name in names.values()
        if name.startswith(("headway/", "realtime/")) and name.endswith(".js")
        for one in IMPORT.findall((tmp_path / name).read_text())
    }
    assert names["headway/inbox/rows.js"] in found
    assert found <= set(names.values()) - set(names)


@pytest.mark.django_db
def test_the_first_page_is_small(client: Client, alice):
    for _ in range(8):
        rows.job(alice, "running")
        rows.job(alice, "completed")
    client.force_login(alice)
    assert len(gzip.compress(client.get("/").content)) <= 20_000


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_need_no_hole_in_the_csp(path):
    """UX 48."""
    text = path.read_text()
    assert not re.search(
        r"\sstyle=|<style|javascript:|\son(click|load|error|change|submit|input|focus|blur|key\w+|mouse\w+)=",
        text,
    )
    for script in re.findall(r"<script[^>]*>", text):
        assert "src=" in script


@pytest.mark.seed("SEC35")
def test_own_scripts_write_no_html():
    """SEC35."""
    for path in (ROOT / "static").rglob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text()
        ), path


@pytest.mark.django_db
def test_every_state_has_a_word_and_an_icon(alice):
    shown = {display(rows.job(alice, state)) for state in State}
    for reason in PendingReason.values[1:]:
        shown.add(display(rows.job(alice, "pending", pending_reason=reason)))
    shown |= {"cancelling", "stale", "waiting_for_upload", "rejected"}
    assert shown <= words.STATUS.keys()
    assert set(ItemState.values) <= words.CHIP.keys()
    assert set(Level.values) <= words.LEVEL.keys()
    icons = (ROOT / "templates" / "_icons.html").read_text()
    used = {icon for icon, _ in words.STATUS.values()} | {icon for _, icon, _ in words.CHIP.values()}
    used |= {icon for _, icon in words.LEVEL.values()}
    used |= {name for path in TEMPLATES for name in re.findall(r'{% icon "(\w+)"', path.read_text())}
    assert all(f'id="i-{name}"' in icons for name in used)


@pytest.mark.seed("SEC37", "SEC38")
@pytest.mark.django_db
def test_every_answer_has_a_csp_and_is_not_kept(client: Client, alice):
    client.force_login(alice)
    for url in ("/", "/jobs/", rows.job(alice, "running").get_absolute_url(), "/no/such/"):
        response = client.get(url)
        assert "default-src 'none'" in response["Content-Security-Policy"]
        assert "unsafe" not in response["Content-Security-Policy"]
        assert "no-store" in response["Cache-Control"]
        assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.seed("SEC32")
@pytest.mark.django_db
@pytest.mark.parametrize(
    "target",
    ["//evil.test", "/\\evil.test", "/\t/evil.test", "https:evil.test", "http://testserver@evil.test",
     "https://evil.test/", "\\\\evil.test", "javascript:alert(1)", "/%0a/evil.test\n", "http:///evil.test"],
)  # fmt: skip
def test_sign_in_never_leaves_the_site(client: Client, alice, target):
    """SEC32."""
    response = client.post("/signin/", {"username": "alice", "password": "alice's secret", "next": target})
    assert response.status_code == 302
    assert re.match(r"^/(?![/\\])", response["Location"])
    assert "evil.test" not in response["Location"] or response["Location"].startswith("/%")


@pytest.mark.django_db
def test_sign_in_keeps_the_name_and_says_what_is_wrong(client: Client, alice):
    response = client.post("/signin/", {"username": "alice", "password": "wrong", "next": "/jobs/"})
    html = response.content.decode()
    assert 'role="alert"' in html and "do not match" in html
    assert 'value="alice"' in html and "wrong" not in html.split("</h1>")[1].split("do not match")[1]
    assert '<input type="hidden" name="next" value="/jobs/">' in html


@pytest.mark.django_db
def test_sign_out_is_a_form(client: Client, alice):
    client.force_login(alice)
    assert '<form method="post" action="/signout/">' in client.get("/").content.decode()
    assert "You are signed out" in client.post("/signout/").content.decode()
    assert client.get("/")["Location"].startswith("/signin/")
