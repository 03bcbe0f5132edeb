"""Pages and feeds of strangers: fetched politely, within limits, and never from inside. (SEC25 to SEC30)"""

import re
import ssl
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType

import httpx
from django.conf import settings

from config.addresses import NotAllowed
from ingestion.clock import read_clock
from ingestion.outside import OutsideHost
from ingestion.outside_bodies import BadBody, CutShort, TooLarge, TooSlow, asked_to_wait, client, unpacked
from ingestion.outside_connections import Clock, NotResolvedInTime, Unresolvable, transport
from ingestion.run import Run
from ingestion.source import SourceError
from ingestion.sources.articles import addresses, robots
from ingestion.sources.articles.models import MOST_SIGNS, Robots
from ingestion.sources.articles.sample import standin

TIME_OUT = httpx.Timeout(15.0, connect=10.0)  # seconds without a byte
WHOLE_TIME = 30.0  # seconds for a page with its redirects and what its hosts say to robots
MOST_BYTES = 10 * 1024 * 1024  # decoded
MOST_REDIRECTS = 5
ROBOTS_HOURS = 24
MOST_HOSTS = 200  # whose rules a job remembers; those of others are read from the database again
LONGEST_PAUSE = 3600.0  # seconds that a host may ask us to stay away
PAGES = ("text/html", "application/xhtml+xml", "text/plain")
FEEDS = ("application/rss+xml", "application/atom+xml", "application/xml", "text/xml", "application/rdf+xml")
_FAILURES = (Unresolvable, NotResolvedInTime, BadBody, httpx.TransportError, httpx.InvalidURL)
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([\w.:\-]{2,40})", re.IGNORECASE)
# By the codes of OpenSSL (X509_V_ERR_...).
_CERTIFICATE = {
    9: "is not valid yet",
    10: "has expired",
    18: "is signed by itself",
    19: "is signed by nobody we know",
    20: "is signed by nobody we know",
    62: "is for another name",
    64: "is for another name",
}
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Fetched:
    """What came. url: where from, after redirects. passed: all addresses that led there, canonical."""

    url: str
    content: bytes
    content_type: str
    passed: tuple[str, ...] = ()
    etag: str = ""
    modified: str = ""
    charset: str = ""  # as the answer's headers say


class Fetcher:
    """The outside as one job sees it. Used as a context manager; `get` may be called by several threads."""

    def __init__(self, job: Run) -> None:
        self._job = job
        self._clock = Clock()
        self._hosts: dict[str, OutsideHost] = {}
        self._rules: dict[str, robots.Rules] = {}
        contact = settings.ARTICLES_CONTACT
        name = f"Headway/1.0 ({contact})" if contact else "Headway/1.0"
        headers = {"User-Agent": name, "Accept": "text/html,*/*;q=0.5"}
        self._http = client(TIME_OUT, headers, transport=transport(self._clock))
        self._sample = client(TIME_OUT, headers, standin.application)

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
        self._sample.close()

    def get(
        self, url: str, kinds: Collection[str] = PAGES, etag: str = "", modified: str = ""
    ) -> Fetched | None:
        """Return what is at an address, or None when it is still what `etag` and `modified` name.

        url: canonical. kinds: content types that are of use. Raises SourceError with a code that begins with
        `url_` or `robots_`.
        """
        self._clock.begin(WHOLE_TIME)
        passed = [url]
        while True:
            self._check_robots(url, first=len(passed) == 1)
            answer = self._ask(url, kinds, {"If-None-Match": etag, "If-Modified-Since": modified}, passed)
            if not isinstance(answer, str):
                return answer
            if len(passed) > MOST_REDIRECTS:
                raise SourceError("url_too_many_redirects", "The address leads to another, again and again.")
            url = _followed(url, answer)
            passed.append(url)

    def _ask(
        self, url: str, kinds: Collection[str], signs: dict[str, str], passed: list[str]
    ) -> Fetched | str | None:
        """Ask once. Return what came, where it is instead, or None when it is as before."""
        host = self._host(url)
        self._turn(host)
        # What is not ASCII cannot be sent back; a header with it would end each later reading of the feed.
        signs = {name: value for name, value in signs.items() if value and value.isascii()}
        try:
            with self._client(url).stream("GET", url, headers=signs) as response:
                if response.status_code in _REDIRECTS and response.headers.get("location"):
                    return str(response.headers["location"])
                if response.status_code == 304 and signs:
                    return None
                self._check_status(host, response)
                kind = _kind(response)
                if kind and kind not in kinds:
                    raise SourceError("url_content_type", f"This is no page of text but {kind[:60]}.")
                content = b"".join(unpacked(response, MOST_BYTES, WHOLE_TIME))
        except NotAllowed as error:
            raise _not_allowed(url, len(passed) == 1) from error
        except _FAILURES as error:
            raise _failed(error) from error
        if not content.strip():
            raise SourceError("url_no_content", "The page is empty.")
        if not kind and b"<" not in content[:1024]:
            raise SourceError("url_content_type", "The page does not say what it is.")
        etag, modified = (response.headers.get(name, "")[:MOST_SIGNS] for name in ("etag", "last-modified"))
        return Fetched(url, content, kind, tuple(passed), etag, modified, _charset(response))

    def _turn(self, host: OutsideHost) -> None:
        """Wait for our turn, which costs the page none of its time."""
        since = time.monotonic()
        host.turn(self._job)
        self._clock.extend(time.monotonic() - since)

    def _client(self, url: str) -> httpx.Client:
        return self._sample if addresses.host_of(url) == standin.HOST else self._http

    def _host(self, url: str) -> OutsideHost:
        name = addresses.host_of(url)
        if name not in self._hosts:
            per_second = float(settings.ARTICLES_PER_SECOND)
            if name == standin.HOST:
                per_second = 1000.0  # it is in this process
            self._hosts[name] = OutsideHost(name, per_second)
        return self._hosts[name]

    def _check_status(self, host: OutsideHost, response: httpx.Response) -> None:
        """Raise SourceError unless there is a page; a host that asks for a pause gets it from all workers."""
        status = response.status_code
        if status == 204:
            raise SourceError("url_no_content", "The page is empty.")
        if 200 <= status < 300:
            return
        asked = asked_to_wait(response, LONGEST_PAUSE)
        if status == 429 and asked:
            host.pause(asked, f"{host.host} asked us to wait for {asked:.0f} seconds")
        later = status in (408, 425, 429) or status >= 500
        raise SourceError("url_status", f"The host answered {status}.", retryable=later, retry_after=asked)

    # -- robots --

    def _check_robots(self, url: str, *, first: bool) -> None:
        origin = addresses.origin(url)
        rules = self._rules.get(origin)
        if rules is None:
            rules = self._rules_of(origin, first=first)
            if len(self._rules) >= MOST_HOSTS:  # each may have half a megabyte of them
                self._rules.clear()
            self._rules[origin] = rules
        if not rules.allow(url):
            raise SourceError("robots_disallow", "The host does not want this page to be read by programs.")
        host = self._host(url)
        if rules.delay:
            host.place_ms = max(host.place_ms, int(rules.delay * 1000))

    def _rules_of(self, origin: str, *, first: bool) -> robots.Rules:
        """Return what a host allows, asked once a day for all workers."""
        since = read_clock() - timedelta(hours=ROBOTS_HOURS)
        row = Robots.objects.filter(origin=origin, read_at__gt=since).first()
        if row is None:
            status, text = self._read_robots(origin, first=first)
            row = Robots(origin=origin, status=status, text=text, read_at=read_clock())
            Robots.objects.bulk_create(  # one statement: threads of a job often learn of a host together
                [row],
                update_conflicts=True,
                unique_fields=["origin"],
                update_fields=["status", "text", "read_at"],
            )
        return robots.parse(row.text) if 200 <= row.status < 300 else robots.ANYTHING

    def _read_robots(self, origin: str, *, first: bool) -> tuple[int, str]:
        """Return the status and the text. Raises SourceError while the host cannot say: RFC 9309, 2.3.1.4."""
        url = f"{origin}/robots.txt"
        for n in range(MOST_REDIRECTS + 1):
            self._turn(self._host(url))
            try:
                with self._client(url).stream("GET", url) as response:
                    if response.status_code in _REDIRECTS and response.headers.get("location"):
                        url = _followed(url, str(response.headers["location"]))
                        continue
                    if response.status_code == 429 or response.status_code >= 500:
                        self._check_status(self._host(url), response)
                    return response.status_code, _head(response)
            except NotAllowed as error:
                raise _not_allowed(url, first and n == 0) from error
            except (
                Unresolvable,
                NotResolvedInTime,
                BadBody,
                httpx.TransportError,
                httpx.InvalidURL,
            ) as error:
                raise _failed(error) from error
        return 404, ""  # it leads in circles: as if there were none


def _head(response: httpx.Response) -> str:
    """Return the beginning of a robots.txt, without what PostgreSQL does not store."""
    pieces, size = [], 0
    for piece in unpacked(response, MOST_BYTES, WHOLE_TIME):
        pieces.append(piece)
        size += len(piece)
        if size > robots.MOST_BYTES:
            break
    return b"".join(pieces)[: robots.MOST_BYTES].decode("utf-8", "replace").replace("\0", "")


def _followed(url: str, location: str) -> str:
    """Return where a redirect leads. Raises SourceError for where we do not go."""
    try:
        return addresses.joined(url, location)
    except SourceError as error:
        raise SourceError(
            "url_redirect_blocked", f"{addresses.host_of(url)} leads to an address that is not allowed."
        ) from error


def _not_allowed(url: str, first: bool) -> SourceError:
    if first:
        return SourceError("url_private", addresses.NOT_ALLOWED)
    text = f"The page leads to {addresses.host_of(url)}, an address that is not allowed."
    return SourceError("url_redirect_blocked", text)


def _failed(error: Exception) -> SourceError:
    """Say why nothing came."""
    if isinstance(error, Unresolvable):
        return SourceError("url_unresolvable", "Nobody knows a host of this name.", retryable=error.for_now)
    if isinstance(error, TooLarge):
        return SourceError("url_too_large", f"The page {error}.")
    if isinstance(error, TooSlow | httpx.TimeoutException | NotResolvedInTime):
        return SourceError("url_timeout", _late(error), retryable=True)
    if isinstance(error, CutShort):
        return SourceError("url_bad_answer", f"The answer {error}.", retryable=True)
    if isinstance(error, BadBody):
        return SourceError("url_bad_answer", f"The answer {error}.")
    if isinstance(error, httpx.ConnectError) and (reason := _tls_fault(error)):
        return SourceError("url_tls", reason)
    if isinstance(error, httpx.ConnectError):
        return SourceError("url_unreachable", "The host does not take connections.", retryable=True)
    if isinstance(error, httpx.InvalidURL):
        return SourceError("url_no_host", "The address names no host that could be asked.")
    garbage = isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in str(error)
    return SourceError(
        "url_bad_answer",
        "The answer cannot be read." if garbage else "The answer broke off.",
        retryable=not garbage,
    )


def _late(error: Exception) -> str:
    """Say what did not happen in time."""
    if isinstance(error, NotResolvedInTime):
        return "Where the host is could not be found out in time."
    if isinstance(error, httpx.ConnectTimeout):
        return "The host did not connect in time."
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return "The host did not answer in time."
    return "The page did not come in time."


def _tls_fault(error: BaseException | None) -> str:
    """Say what is wrong with a host's encryption, or nothing where that is not the matter."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    if error is None:
        return ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The host's certificate {_CERTIFICATE.get(error.verify_code, 'is not valid')}."
    old = "PROTOCOL" in (error.reason or "").upper()
    return f"The host's encryption {'is too old' if old else 'cannot be used'}."


def _kind(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _charset(response: httpx.Response) -> str:
    """Return what an answer says of its encoding, or an empty text."""
    found = _CHARSET.search(response.headers.get("content-type", ""))
    return found[1] if found else ""
