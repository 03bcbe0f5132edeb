"""A stand-in for the web inside our own process: pages that we wrote about ferries on a river we made up.

So a machine without internet sees a whole analysis.
"""

from collections.abc import Callable, Iterable
from typing import Any

from ingestion.sources.articles.sample import pages

HOST = "news.sample.invalid"  # RFC 2606: nobody's; no request leaves the process
ADDRESS = f"http://{HOST}"
URLS = [f"{ADDRESS}/{name}" for name in pages.PAGES]
FEED = f"{ADDRESS}/feed.xml"


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as a site of news does (WSGI, PEP 3333)."""
    name = str(environ.get("PATH_INFO", "")).strip("/")
    status, kind, body = "404 Not Found", "text/html", b"<h1>Not found</h1>"
    if name == "feed.xml":
        status, kind, body = "200 OK", "application/rss+xml", pages.feed(ADDRESS).encode()
    elif name == "robots.txt":
        status, kind, body = "200 OK", "text/plain", b"User-agent: *\nDisallow: /private/\n"
    elif name in pages.PAGES:
        status, kind, body = "200 OK", "text/html; charset=utf-8", pages.html(name).encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
