"""A site of news on loopback: pages that a test puts there, and answers that no server should give."""

import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import Loopback

Raw = Callable[[Any], None]  # writes what it likes to the connection


class Site(Loopback):
    """A server whose pages a test sets: path -> (status, headers, body), or a function that writes."""

    def __init__(self, encryption: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], bytes] | Raw] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        super().__init__(_handler(self), encryption)

    def put(self, path: str, body: bytes | str, status: int = 200, **headers: str) -> str:
        """Put a page at a path; return its address. Header names are written with _ for -."""
        named = {"Content-Type": "text/html", **{k.replace("_", "-"): v for k, v in headers.items()}}
        self.pages[path] = (status, named, body.encode() if isinstance(body, str) else body)
        return self.url + path

    def moved(self, path: str, to: str, status: int = 302) -> str:
        """Have a path lead elsewhere; return its address."""
        return self.put(path, b"", status, Location=to)


def article(title: str, *paragraphs: str, head: str = "") -> str:
    """Return a page with an article."""
    body = "".join(f"<p>{text}</p>" for text in paragraphs)
    return (
        f'<html><head><meta charset="utf-8"><title>{title}</title>{head}</head>'
        f"<body><article><h1>{title}</h1>{body}</article></body></html>"
    )


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            site.connections += 1
            super().setup()

        def do_GET(self) -> None:
            site.asked.append(self.path)
            site.headers.append({name.lower(): value for name, value in self.headers.items()})
            page = site.pages.get(self.path.partition("?")[0], (404, {}, b"nothing"))
            try:
                if callable(page):
                    page(self)
                    return
                status, headers, body = page
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                return  # the other side had enough

        def log_message(self, *args: Any) -> None:
            return

    return Handler
