"""Bad values in every form and address of the pages: refused, nothing written, nothing sent back that steers.

Which addresses take a form is asked of the site itself: one that is in no row here fails.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.crawling import holes
from tests.surfaces import values
from tests.surfaces.standing import STEP, contents
from tests.surfaces.test_addresses import visitor
from tests.surfaces.test_bodies import things as things

pytestmark = pytest.mark.django_db

ONE_LINE = [value for _, value in values.STEERING] + ["a\0b", "x" * 20_000]
LINES = [value for _, value in values.STEERING_LINES] + ["a\0b", "x" * 200_000]
# Of what is chosen from a list, or named by a number or a name.
CHOICE = [
    "no such",
    "\u202ename",
    "a\0b",
    "9" * 30,
    "-1",
    "x" * 20_000,
    "' OR 1=1 --",
    "1e3",
    "<b>",
]
BLANK = ["   ", "\u200b\u2060"]


@dataclass(frozen=True)
class Form:
    """What a form is sent. good: what it takes; empty: what it does, it does whatever is sent.

    lines, texts, needed: its texts of one line, of several, and those that must not be blank.
    chosen: what is chosen or named.
    """

    good: dict[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


TOPIC = {"name": "new", "description": "about", "keywords": "ferry", "feeds": "", "threshold": "0.3"}
SETTINGS = {
    "name": "new",
    "description": "d",
    "chunk_size": "1000",
    "overlap": "100",
    "embedder": "use-multilingual-3",
    "top_k": "5",
}
FORMS: dict[str, Form] = {
    "account:profile": Form({"first_name": "A", "email": ""}, lines=("first_name",), chosen=("email",)),
    "account:make_token": Form(
        {"name": "cron", "scopes": ["read"], "days": "30"},
        ("name",),
        needed=("name",),
        chosen=("scopes", "days"),
    ),
    "account:appearance": Form({"zone": "UTC", "theme": "dark"}, chosen=("zone", "theme")),
    "account:password": Form({}, chosen=("old", "new")),
    "account:end_session": Form({}, chosen=("key",)),
    "account:revoke_token": Form({}, chosen=("id",)),
    "account:delete": Form({}, chosen=("username", "current")),
    "articles:topics": Form(TOPIC, ("name", "description"), needed=("name",), chosen=("feeds", "threshold")),
    "articles:settings": Form(
        TOPIC, ("name", "description"), needed=("name",), chosen=("feeds", "threshold")
    ),
    "articles:member": Form({"user": "bob", "role": "viewer"}, chosen=("user", "role")),
    "articles:keep": Form({}, chosen=("url",)),
    "articles:retry": Form({}, chosen=("error_code",)),
    "articles:every": Form({"every": "hour"}, chosen=("every",)),
    "articles:remove": Form({"name": "ours"}, chosen=("name",)),
    "articles:analyse": Form({"feed": "https://example.com/feed"}, lines=("feed",), chosen=("kind",)),
    "companies:start": Form({"ticker": "AAPL"}, ("ticker",), needed=("ticker",)),
    "documents:workspaces": Form(
        {"name": "new", "description": "d"}, ("name", "description"), needed=("name",)
    ),
    "documents:settings": Form(
        SETTINGS,
        ("name", "description"),
        needed=("name",),
        chosen=("chunk_size", "overlap", "embedder", "top_k"),
    ),
    "documents:member": Form({"user": "bob", "role": "viewer"}, chosen=("user", "role")),
    "documents:remove-workspace": Form({"name": "ours"}, chosen=("name",)),
    "imports:decide": Form({}, chosen=("key", "choice", "value", "revision", "f", "from", "to")),
    "imports:match": Form({}, chosen=("column-0", "column-x", "from", "to", "revision")),
    "imports:answer": Form({}, chosen=("answer", "reason", "revision")),
    "ingestion:start": Form({"start-ticker": "AAPL"}, ("start-ticker",), needed=("start-ticker",)),
    "ingestion:pause": Form(
        {"scope": "all", "until": "15m", "reason": "Upgrade"},
        ("reason",),
        needed=("reason",),
        chosen=("scope", "until"),
    ),
    "ingestion:resume": Form({}, chosen=("scope",)),
    "ingestion:dead_act": Form({}, chosen=("verb", "job", "reason")),
    "ingestion:schedule": Form(
        {"name": "Daily", "cron": "0 7 * * *", "zone": "UTC"},
        ("name", "cron", "zone"),
        needed=("name", "cron"),
    ),
    "ingestion:bulk": Form({}, chosen=("verb", "job", "all", "state", "source", "q")),
    "ingestion:bulk_all": Form({}, chosen=("verb", "shown", "newest", "state", "source", "q")),
    "ingestion:retry": Form({}, chosen=("key", "error_code")),
    "ingestion:answer": Form({}, texts=("reason",), chosen=("answer",)),
    "lifelogs:add": Form(
        {"service": "limitless", "key": "k" * 20, "zone": "UTC", "label": "Work"},
        ("label", "key"),
        needed=("key",),
        chosen=("service", "zone"),
    ),
    "lifelogs:change": Form({"label": "Work"}, ("label",), needed=("label",), kwargs={"verb": "rename"}),
    "lifelogs:sync": Form({}, chosen=("mode", "start", "end", "month", "on")),
    "notifications:act": Form(
        {}, chosen=("verb", "pick", "one", "undo", "until", "at", "zone", "upto", "all")
    ),
    "notifications:choose": Form({}, chosen=("on",)),
    "notifications:unfollow": Form({}, chosen=("about",)),
    "notifications:unmute": Form({}, chosen=("about",)),
    "notifications:set_webhook": Form({"url": "https://example.com/hook"}, ("url",), needed=("url",)),
    "signin": Form({}, chosen=("username", "password", "next")),
    "recovery": Form({}, chosen=("email", "way")),
    "new_password": Form({}, chosen=("new1", "new2")),
    "imports:upload": Form({}, chosen=("name",)),
    "documents:upload": Form({}, chosen=("replaces",)),
}
# Buttons: they take nothing but their address.
BUTTONS = {
    "account:end_others", "account:export", "articles:check", "articles:collect", "articles:follow",
    "articles:sample", "companies:follow", "companies:keep", "companies:retry", "csp_report",
    "documents:cancel", "documents:refresh", "documents:remove", "documents:retry",
    "documents:retry-workspace",
    "ingestion:again", "ingestion:cancel", "ingestion:follow", "ingestion:mute", "ingestion:schedule_pause",
    "ingestion:schedule_resume", "ingestion:schedule_run", "lifelogs:sample", "notifications:remove_webhook",
    "notifications:test_webhook", "notifications:unsubscribe", "signin_link", "signout",
}  # fmt: skip


# They take nothing, and answer for the whole deployment: tests/config.
PROBES = {"healthz", "readyz", "metrics"}


def patterns(within: Any = None, spaces: str = "") -> list[tuple[str, URLPattern]]:
    """Return every page by its name with its namespace."""
    found = []
    for one in (within or get_resolver()).url_patterns:
        if isinstance(one, URLResolver):
            if str(one.pattern).startswith(("admin/", "api/")):
                continue
            found += patterns(one, f"{spaces}{one.namespace}:" if one.namespace else spaces)
        elif one.name and one.name not in PROBES:
            found.append((f"{spaces}{one.name}", one))
    return found


def url_of(name: str, one: URLPattern, things: dict[str, Any], given: dict[str, Any]) -> str:
    """Return the address of a page about what there is."""
    room = name.partition(":")[0]
    last = name.partition(":")[2]
    numbers = {
        "articles": "topic_id",
        "documents": "workspace_id",
        "imports": "import_id",
        "lifelogs": "pk",
        "companies": "company_id",
    }
    pk = (
        things["schedule_id" if "schedule" in last else "job_id"]
        if room == "ingestion"
        else things.get(numbers.get(room, ""), "1")
    )
    if room == "documents" and last in ("document", "file", "retry", "cancel", "remove"):
        pk = things["document_id"]
    known = {
        "pk": pk,
        "kind": "companies",
        "verb": "rename",
        "text": "2026-01-05",
        "number": 1,
        "article": 1,
        "accession": "0000320193-25-000079",
        "dimension": "region",
        "token": "x",
        "uidb64": "MQ",
        "upload_id": "01980000-0000-7000-8000-000000000000",
        **given,
    }
    return reverse(name, kwargs={name: known[name] for name in one.pattern.converters})


def asked(client: Client, name: str, one: URLPattern, things: dict[str, Any]) -> set[str]:
    """Return the methods that a page has."""
    answer = client.options(url_of(name, one, things, {}))
    return set(answer.get("Allow", "GET, POST").split(", "))


def bad_of(form: Form) -> list[tuple[str, Any, bool]]:
    """Return each field with a bad value, and whether nothing may be written then."""
    found = [(name, value, True) for name in form.lines for value in ONE_LINE]
    found += [(name, value, True) for name in form.texts for value in LINES]
    found += [(name, value, True) for name in form.needed for value in BLANK]
    return found + [(name, value, name in form.good) for name in form.chosen for value in CHOICE]


def changes(do: Callable[[], HttpResponse]) -> set[str]:
    """Return the tables that something writes, and take it back."""
    before = contents()
    with transaction.atomic():
        do()
        after = contents()
        transaction.set_rollback(True)
    return {table for table in after if after[table] != before[table]}


@pytest.fixture
def web(things: dict[str, Any], alice: User) -> Client:
    """A browser of who may do everything."""
    return visitor(alice)[1]


def test_every_page_that_takes_a_form_is_in_a_row(things: dict[str, Any], web: Client) -> None:
    taking = {name for name, one in patterns() if "POST" in asked(web, name, one, things)}
    assert taking == FORMS.keys() | BUTTONS


def test_every_form_refuses_bad_values(things: dict[str, Any], web: Client) -> None:
    wrong, pages = [], dict(patterns())
    for name, form in FORMS.items():
        url = url_of(name, pages[name], things, form.kwargs)
        if form.good and not changes(lambda url=url, form=form: web.post(url, form.good)):
            wrong.append(f"{name} does not take what is good")
        stood, every = contents(), bad_of(form)
        for key, value, refuses in every[len(name) % STEP :: STEP]:
            with transaction.atomic():
                answer = web.post(url, {**form.good, key: value})
                transaction.set_rollback(not refuses)
            wrong += [f"{name} {key}={value!r:.30}: {one}" for one in seen(answer)]
        stands = contents()
        wrong += [f"{name} wrote {table}" for table in stands if stands[table] != stood[table]]
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


def seen(answer: Any) -> list[str]:
    """Return what is wrong with an answer to something bad."""
    found = holes(answer)
    if not answer.streaming and values.raw_control(answer.content.decode(errors="replace")):
        found.append("sends back what steers")
    return found


PARAMETERS = [
    "q",
    "f",
    "s",
    "state",
    "source",
    "by",
    "error",
    "within",
    "before",
    "after",
    "on",
    "from",
    "year",
    "of",
    "kind",
    "since",
    "part",
    "company",
    "job",
    "at",
    "view",
    "type",
    "show",
    "to",
    "next",
    "all",
    "pick",
    "name",
    "verb",
    "actor",
    "action",
    "target",
    "ordering",
    "page",
    "document",
]


def test_no_page_stumbles_over_a_bad_parameter(things: dict[str, Any], web: Client) -> None:
    wrong, stood = [], contents()
    bad = [*ONE_LINE[:-1], *CHOICE, "x" * 5_000, "2026-13-45", "99999-01-01"]
    for name, one in patterns():
        url = url_of(name, one, things, {})
        if name in FORMS.keys() | BUTTONS and "GET" not in asked(web, name, one, things):
            continue
        for value in bad[len(name) % STEP :: 2 * STEP]:
            each = PARAMETERS if len(value) < 100 else ["q", "before", "state"]
            wrong += [
                f"{name} {value!r:.30}: {one}" for one in seen(web.get(url, dict.fromkeys(each, value)))
            ]
    stands = contents()
    wrong += [f"wrote {table}" for table in stands if stands[table] != stood[table]]
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


def test_no_page_stumbles_over_a_bad_identifier(things: dict[str, Any], web: Client) -> None:
    wrong, stood = [], contents()
    bad = {
        "int": ["9" * 30, "0"],
        "str": ["\0", "a\nb", "\u202eb", "x" * 3_000, "..%2f"],
        "slug": ["no-such", "x" * 999],
        "uuid": ["01980000-0000-7000-8000-000000000000"],
    }
    for name, one in patterns():
        for key, converter in one.pattern.converters.items():
            kind = type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")
            for value in bad.get(kind, []):
                pattern = url_of(name, one, things, {})
                good = reverse(name, kwargs=get_resolver().resolve(pattern).kwargs)
                given = get_resolver().resolve(pattern).kwargs[key]
                url = good.replace(f"/{given}", "/" + value.replace("\0", "%00").replace("\n", "%0A"), 1)
                answer = web.get(url)
                wrong += [f"{name} {value!r:.30}: {one}" for one in seen(answer)]
                if answer.status_code == 200 and kind != "str":
                    wrong.append(f"{name} {value!r:.30}: 200")
    stands = contents()
    wrong += [f"wrote {table}" for table in stands if stands[table] != stood[table]]
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)
