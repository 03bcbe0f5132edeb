"""Follows the links and forms of the site, as somebody would who looks for holes in it."""

import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.signals import request_finished
from django.db import close_old_connections
from django.test import Client

FULL = os.environ.get("HEADWAY_FAULTS") == "full"  # `./run test --faults`
SITE = "http://testserver"
LEAVING = {f"{SITE}/signout/", f"{SITE}/admin/logout/"}  # who sends these is a stranger from then on
MARK = "<svg onload=hw()>"
# What is typed into every field and parameter: each is a way out of a page, a header, a query or a folder.
PAYLOADS = [
    f"hw\"'>{MARK}",
    "hw{{1111*1111}}${1111*1111}hw{% now %}",
    "'; SELECT pg_sleep(9)--\\",
    "../../../../../../etc/passwd",
    "hw\r\nX-Injected: hw\r\n\r\nhw",
    "//evil.example/%2f..",
    "https://evil.example/hw",
    "\0\ud7ff\U0010ffff",
    "9" * 30,
]
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d{2}-\d{2}|(?<=[/=_.-])\d+\b")


@dataclass
class Form:
    """A form of a page. fields: name -> (type, value)."""

    action: str
    method: str
    fields: dict[str, tuple[str, str]] = field(default_factory=dict)


class Page(HTMLParser):
    """The links and forms of a page."""

    def __init__(self, url: str, text: str) -> None:
        super().__init__()
        self._url = url
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._select = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what leads on."""
        has = {name: value or "" for name, value in attrs}
        named = has.get("name", "")
        if tag == "a" and "href" in has:
            self.links.append(urljoin(self._url, has["href"]))
        elif tag == "form":
            action = urljoin(self._url, has.get("action", ""))
            self.forms.append(Form(action, has.get("method", "get").lower()))
        elif tag in ("input", "textarea", "button", "select") and named and self.forms:
            self.forms[-1].fields.setdefault(named, (has.get("type", tag), has.get("value", "")))
            self._select = named if tag == "select" else ""
        elif tag == "option" and self._select and "selected" in has:
            self.forms[-1].fields[self._select] = ("select", has.get("value", ""))


def kind(url: str) -> str:
    """Return what pages of one kind have in common: the path without numbers, and the parameters' names."""
    parts = urlsplit(url)
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    return _VARYING.sub("*", parts.path) + ("?" + "&".join(names) if names else "")


def walk(
    client: Client, start: str, within: str = "/", most: int = 400
) -> Iterator[tuple[str, Any, Page | None]]:
    """Yield each kind of page that links lead to: its address, the answer, what it leads to."""
    seen, waiting = {kind(start)}, deque([start])
    while waiting:
        url = waiting.popleft()
        answer = client.get(_local(url))
        page = None
        if not answer.streaming and "html" in answer.get("Content-Type", ""):
            page = Page(url, answer.content.decode())
        yield url, answer, page
        found = [urljoin(url, answer["Location"])] if "Location" in answer else []
        for link in found + (page.links if page else []):
            link = link.partition("#")[0]
            if link.startswith(SITE + within) and kind(link) not in seen:
                assert len(seen) < most, f"more than {most} kinds of pages"
                seen.add(kind(link))
                waiting.append(link)


def attack(client: Client, url: str, page: Page | None, seen: set[str]) -> Iterator[tuple[str, Any]]:
    """Yield what is said to payloads in each parameter of an address, and in the fields of its forms.

    seen: the forms that were tried; those of a kind are tried once. Not those that would sign the client out,
    or take away the account that it is signed in with.
    """
    own = f"{SITE}/admin/auth/user/{client.session.get('_auth_user_id')}/"
    more = {"next"} if FULL or "/signin/" in url else {"q"}
    base, given = _local(url).partition("?")[0], parse_qsl(urlsplit(url).query, keep_blank_values=True)
    for payload in some(kind(url)):
        for name in sorted({name for name, _ in given} | more):
            query = urlencode([*((n, v) for n, v in given if n != name), (name, payload)])
            yield f"GET {base}?{query}", client.get(f"{base}?{query}")
    for form in page.forms if page else []:
        named = f"{form.method} {kind(form.action)} {sorted(form.fields)}"
        leaves = form.action in LEAVING or form.action.startswith(own)
        if not form.action.startswith(SITE + "/") or leaves or named in seen:
            continue
        seen.add(named)
        for payload in some(named):
            values = {name: _filled(*one, payload) for name, one in form.fields.items()}
            if form.method == "get":
                answer = client.get(_local(form.action).partition("?")[0], _texts(values))
            else:
                answer = client.post(_local(form.action), values)
            yield f"{form.method.upper()} {form.action} {payload!r}", answer


def some(of: str) -> list[str]:
    """Return payloads for a page or form: with FULL all, else one, another one for another page."""
    return PAYLOADS if FULL else [PAYLOADS[sum(of.encode()) % len(PAYLOADS)]]


def holes(answer: Any) -> list[str]:
    """Return what is wrong with an answer, whoever asked for whatever."""
    wrong = []
    if answer.status_code >= 500:
        _, error, _ = getattr(answer, "exc_info", None) or (None, None, None)
        wrong.append(f"status {answer.status_code}" + (f": {error!r}" if error else ""))
    target = urlsplit(urljoin(SITE, answer.get("Location", "/")))
    if target.netloc != "testserver" or answer.get("Location", "/").startswith(("//", "/\\")):
        wrong.append(f"leads to {answer['Location']}")
    wrong += [f"{name}: {answer.get(name)}" for name, value in HEADERS.items() if answer.get(name) != value]
    if "X-Injected" in answer or any("\n" in value for _, value in answer.items()):
        wrong.append("a header of the asker's")
    if answer.streaming:
        request_finished.disconnect(close_old_connections)  # the connection is the test's own
        answer.close()
        request_finished.connect(close_old_connections)
        return wrong
    is_page = "html" in answer.get("Content-Type", "")
    if is_page and "script-src" not in answer.get("Content-Security-Policy", ""):
        wrong.append("no policy")
    text = answer.content.decode(errors="replace")
    for sign in (*((MARK,) if is_page else ()), "hw1234321", "root:x:0", "Traceback (most"):
        if sign in text:
            wrong.append(f"{sign} in the answer")
    return wrong


def _filled(kind: str, value: str, payload: str) -> Any:
    if kind == "file":
        return SimpleUploadedFile(payload.replace("/", "_") or "x", payload.encode(errors="replace"))
    # Ticks and choices stay: the rest of the form has to come as far as it can.
    return value if kind in ("checkbox", "radio", "select", "button", "submit") else payload


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in values.items() if isinstance(value, str)}


def _local(url: str) -> str:
    return url.removeprefix(SITE) or "/"
