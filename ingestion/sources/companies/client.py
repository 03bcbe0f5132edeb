"""The SEC's servers: who we say we are, how often we ask, how much we take, and what each refusal means.

Facts about them are from sec.gov/os/accessing-edgar-data and from answers that were recorded.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from urllib.parse import quote

import httpx
from django.conf import settings

from ingestion.clock import read_clock
from ingestion.outside import OutsideHost
from ingestion.outside_bodies import BadBody, CutShort, TooLarge, TooSlow, client, unpacked
from ingestion.outside_retries import Paused, Unavailable, asking_again
from ingestion.run import Run
from ingestion.source import SourceError
from ingestion.sources.companies.sample import standin

HOST = "sec.gov"  # one rate and one pause for all of its servers: so the SEC counts
TIME_OUT = httpx.Timeout(30.0, connect=10.0)  # seconds without a byte
WHOLE_TIME = 180.0  # seconds for one answer, however steadily it drips
MEGABYTE = 1024 * 1024
MOST_LIST = 32 * MEGABYTE  # decoded bytes of a JSON list; the longest is under 10 MB
MOST_DOCUMENT = 64 * MEGABYTE  # of one document; whole submissions of before 2001 are under 10 MB
MOST_REFUSAL = 64 * 1024  # of a page that says no
ACCESSION = re.compile(r"[0-9]{10}-[0-9]{2}-[0-9]{6}", re.ASCII)
_OLDER = re.compile(r"CIK[0-9]{10}-submissions-[0-9]{3,5}\.json", re.ASCII)
_PART = re.compile(r"[^/\\\x00-\x1f\x7f]{1,200}")


class Missing(SourceError):
    """The SEC has nothing at this address."""

    def __init__(self) -> None:
        super().__init__("sec_missing", "The SEC has nothing at this address.")


@dataclass(frozen=True)
class Answer:
    """What came back. etag, modified: to ask next time whether it changed."""

    content: bytes
    etag: str = ""
    modified: str = ""


class Sec:
    """The SEC as one job sees it. Used as a context manager; its methods may be called by several threads.

    bundled: ask the stand-in that comes with us, in this process, instead of anybody outside.
    """

    def __init__(self, job: Run, *, bundled: bool = False) -> None:
        self.bundled = bundled
        self.www = standin.ADDRESS if bundled else settings.SEC_WWW_URL
        self.data = standin.ADDRESS if bundled else settings.SEC_DATA_URL
        self._job = job
        self._rate = OutsideHost(HOST, settings.SEC_PER_SECOND)
        if not (bundled or settings.SEC_CONTACT):
            raise SourceError(
                "sec_no_contact",
                "The SEC wants to know who asks. Set HEADWAY_SEC_CONTACT to a name and an e-mail address.",
            )
        self._http = client(
            TIME_OUT,
            {"User-Agent": f"Headway {settings.SEC_CONTACT}"},
            standin.application if bundled else None,
        )
        self._again = asking_again(job)

    def __enter__(self) -> "Sec":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    # -- what there is --

    def tickers_url(self) -> str:
        """Return the address of the list of all tickers."""
        return f"{self.www}/files/company_tickers.json"

    def submissions(self, cik: int) -> bytes:
        """Return who a filer is and its latest filings. Raises Missing."""
        return self._whole(f"{self.data}/submissions/CIK{cik:010}.json", MOST_LIST)

    def older_submissions(self, name: str) -> bytes:
        """Return a page of a filer's older filings, by the name it has in `submissions`. Raises Missing."""
        if not _OLDER.fullmatch(name):
            raise Missing
        return self._whole(f"{self.data}/submissions/{name}", MOST_LIST)

    def facts(self, cik: int) -> bytes:
        """Return all figures a filer ever reported. Raises Missing when it reported none."""
        return self._whole(f"{self.data}/api/xbrl/companyfacts/CIK{cik:010}.json", MOST_LIST)

    def document_url(self, cik: int, accession: str, name: str) -> str:
        """Return the address of a filing's document; without a name, of all of them in one text.

        Raises Missing for a name that would lead out of the filing's folder.
        """
        if not ACCESSION.fullmatch(accession):
            raise Missing
        parts = (name or f"{accession}.txt").split("/")
        if not all(_PART.fullmatch(part) and part.strip(". ") for part in parts):
            raise Missing
        folder = f"{self.www}/Archives/edgar/data/{cik}/{accession.replace('-', '')}"
        return f"{folder}/{'/'.join(quote(part) for part in parts)}"

    def document(self, url: str) -> bytes:
        """Return a document. Raises Missing."""
        return self._whole(url, MOST_DOCUMENT)

    def _whole(self, url: str, most: int) -> bytes:
        answer = self.ask(url, most)
        assert answer is not None  # only who names an older copy is told that nothing changed
        return answer.content

    # -- asking --

    def ask(self, url: str, most: int, etag: str = "", modified: str = "") -> Answer | None:
        """Return what is at an address, or None when it is still what `etag` and `modified` name.

        most: decoded bytes. Raises SourceError: Missing, Paused, Unavailable, or one that is final.
        """
        known = {"If-None-Match": etag, "If-Modified-Since": modified}
        return self._again(self._ask_once, url, most, {name: value for name, value in known.items() if value})

    def _ask_once(self, url: str, most: int, headers: Mapping[str, str]) -> Answer | None:
        if not self.bundled:
            self._rate.turn(self._job)
        try:
            with self._http.stream("GET", url, headers=headers) as response:
                if response.status_code == 304 and headers:
                    return None
                if response.status_code != 200:
                    raise self._refusal(response)
                content = b"".join(_decoded(response, most))
                names = response.headers
                return Answer(content, names.get("etag", "")[:200], names.get("last-modified", "")[:100])
        except httpx.TimeoutException as error:
            raise Unavailable("sec_timeout", "The SEC did not answer in time.") from error
        except httpx.TransportError as error:
            raise Unavailable("sec_unreachable", "The SEC cannot be reached.") from error
        except (httpx.InvalidURL, httpx.HTTPError) as error:
            raise _bad_answer("could not be read") from error

    def _refusal(self, response: httpx.Response) -> SourceError:
        """Return what an answer other than 200 means."""
        status = response.status_code
        if status in (404, 410):
            return Missing()
        if status == 429:  # whatever its page says, and even if that breaks off
            return self._blocked()
        page = _head(response)
        text = (page or b"").decode("latin-1").lower()
        if "request rate threshold exceeded" in text:
            return self._blocked()
        if status == 403 and "undeclared automated tool" in text:
            return SourceError(
                "sec_identity",
                "The SEC does not accept who we say we are. An operator must correct HEADWAY_SEC_CONTACT.",
            )
        if status == 403 and "<code>accessdenied</code>" in text:
            return Missing()  # the archive's way to say that there is no such file
        if status == 403 and page is None:
            return Unavailable("sec_bad_answer", "The SEC's answer ended too early.")
        if status in (408, 425) or status >= 500:
            return Unavailable("sec_status", f"The SEC answered {status}.", _seconds(response))
        return SourceError("sec_status", f"The SEC answered {status}.")

    def _blocked(self) -> Paused:
        seconds = settings.SEC_BLOCK_SECONDS
        until = read_clock() + timedelta(seconds=seconds)
        reason = f"{HOST} asked us to stop for {_length(seconds)}; we ask again at {until:%H:%M} UTC"
        self._rate.pause(seconds, reason)
        return Paused("sec_blocked", f"{HOST} asked us to stop, again and again.")


def _decoded(response: httpx.Response, most: int) -> Iterator[bytes]:
    """Yield the body unpacked. Raises SourceError as soon as it is too long, too slow or broken."""
    try:
        yield from unpacked(response, most, WHOLE_TIME)
    except TooLarge as error:
        raise SourceError("sec_too_large", f"The answer {error}.") from error
    except TooSlow as error:
        raise Unavailable("sec_timeout", "The SEC did not answer in time.") from error
    except CutShort as error:
        raise Unavailable("sec_bad_answer", f"The SEC's answer {error}.") from error
    except BadBody as error:
        raise _bad_answer(str(error)) from error


def _head(response: httpx.Response) -> bytes | None:
    """Return what can be read of a page that says no; None when it broke off."""
    pieces = []
    try:
        for piece in _decoded(response, MOST_REFUSAL):
            pieces.append(piece)
    except (Unavailable, httpx.TransportError):
        return None
    except (SourceError, httpx.HTTPError):
        pass  # too long, or packed as we did not ask
    return b"".join(pieces)


def _bad_answer(what: str) -> SourceError:
    return SourceError("sec_bad_answer", f"The SEC's answer {what}.")


def _seconds(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _length(seconds: int) -> str:
    if seconds % 60 or not seconds:
        return f"{seconds} seconds"
    return "1 minute" if seconds == 60 else f"{seconds // 60} minutes"
