"""A stand-in for the SEC on loopback: recorded answers or our own bytes, and its three ways to refuse."""

import gzip
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.loopback import Loopback

MISSING = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>"
NO_FILE = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"
BLOCKED = b"<html><head><title>SEC.gov | Request Rate Threshold Exceeded</title></head></html>"
UNDECLARED = b"<html><h1>Your Request Originates from an Undeclared Automated Tool</h1></html>"
FACTS = "/api/xbrl/companyfacts/CIK{:010}.json"


@dataclass
class Page:
    """What is at an address."""

    body: bytes
    status: int = 200
    type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    packed: bool = True


@dataclass
class Asked:
    """A request that came."""

    at: float
    path: str
    headers: dict[str, str]


class Standin(Loopback):
    """A server whose pages and moods a test sets."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[Asked] = []
        self.mood: Callable[[str], Page | None] = lambda path: None  # an answer instead of the page
        self.before: Callable[[str], None] = lambda path: None
        super().__init__(_handler(self))

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self.asked]

    def put(self, path: str, value: Any, **page: Any) -> None:
        """Put a page of JSON, or of the bytes given, at an address."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.pages[path] = Page(body, **page)

    def company(self, cik: int, ticker: str, *filings: tuple[str, str, str], **more: Any) -> list[str]:
        """Put a company and the documents of its filings (form, filed, period); return their accessions."""
        rows = [
            (f"{cik:010}-{filed[2:4]}-{n:06}", *rest)
            for n, rest in enumerate(filings, 1)
            for filed in [rest[1]]
        ]
        self.put(f"/submissions/CIK{cik:010}.json", filer(cik, ticker, rows, **more))
        for accession, form, _, period in rows:
            text = f"<html><body><p>{form} of {more.get('name', ticker)} for {period}</p></body></html>"
            self.put(document_path(cik, accession), text.encode(), type="text/html")
        return [accession for accession, *_ in rows]

    def tickers(self, *pairs: tuple[str, int], **page: Any) -> None:
        """Put the list of tickers."""
        listed = {str(n): {"cik_str": c, "ticker": t, "title": f"{t} CORP"} for n, (t, c) in enumerate(pairs)}
        self.put("/files/company_tickers.json", listed, **page)

    def record(self, folder: Path) -> None:
        """Serve what was recorded of the real one."""
        for route in json.loads((folder / "ROUTES.json").read_text()):
            if route["status"] == 200 and route["url"].startswith("http"):
                body = (folder / route["file"]).read_bytes()
                self.pages[urlsplit(route["url"]).path] = Page(body, type=route["content_type"])


def filer(cik: int, ticker: str, rows: list[tuple[str, str, str, str]], **more: Any) -> dict[str, Any]:
    """Return a filer's data; rows: (accession, form, filed, period)."""
    files = more.pop("files", [])
    return {
        "cik": f"{cik:010}",
        "name": f"{ticker} Corp",
        "tickers": [ticker],
        "exchanges": ["Nasdaq"],
        "fiscalYearEnd": "1231",
        **more,
        "filings": {"recent": columns(rows), "files": files},
    }


def columns(rows: list[tuple[str, str, str, str]]) -> dict[str, list[str]]:
    """Return filings as the columns that the SEC gives."""
    names = ("accessionNumber", "form", "filingDate", "reportDate")
    data = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    return {**data, "primaryDocument": ["main.htm"] * len(rows)}


def document_path(cik: int, accession: str, name: str = "main.htm") -> str:
    """Return where a document is."""
    return f"/Archives/edgar/data/{cik}/{accession.replace('-', '')}/{name}"


def _handler(standin: Standin) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            standin.asked.append(Asked(time.time(), path, headers))
            standin.before(path)
            self.answer(standin.mood(path) or standin.pages.get(path) or self.unknown(path), headers)

        def unknown(self, path: str) -> Page:
            if path.startswith("/Archives/"):
                return Page(NO_FILE, 403, "application/xml")
            return Page(MISSING, 404, "application/xml")

        def answer(self, page: Page, headers: dict[str, str]) -> None:
            etag = page.headers.get("ETag")
            same = etag is not None and headers.get("if-none-match") == etag
            body = b"" if same else page.body
            self.send_response(304 if same else page.status)
            more = dict(page.headers)
            if page.packed and "gzip" in headers.get("accept-encoding", "") and not same:
                body, more["Content-Encoding"] = gzip.compress(body, 1), "gzip"
            for name, value in {"Content-Type": page.type, "Content-Length": str(len(body)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            return

    return Handler
