"""Addresses of pages and feeds: which we take at all, and the one form in which they are compared.

What a name resolves to is judged when the connection is made, see fetching.py.
"""

import ipaddress
import re
import socket
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

from django.conf import settings

from config.addresses import is_public
from ingestion.source import SourceError
from ingestion.sources.articles.models import LONGEST_URL

PORTS = (80, 443, 8080, 8443)
LONGEST_NAME, LONGEST_LABEL = 253, 63  # RFC 1035
NOT_ALLOWED = "This address is not allowed."
NO_CREDENTIALS = "The address may not hold a user name or password."
INSIDE = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "localdomain")
# What says where a reader came from, and nothing of what is read.
_TRACKING = re.compile(
    r"utm_\w+|fbclid|gclid|dclid|msclkid|yclid|igshid|mc_[ce]id|_hsenc|_hsmi|mkt_tok|cmpid|ocid|guccounter|at_medium"
    r"|at_campaign"
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_ODD = re.compile(r"[\x00-\x20\x7f-\xa0\\\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2069\u3000\ufeff]")
_PATH, _QUERY = "/:@!$&'()*+,;=~-._%", "/?:@!$'()*+,;~-._%="


def canonical(given: str) -> str:
    """Return the one form of an address that a person gave. Raises SourceError with what is wrong.

    Scheme and host in lower case, the host in its ASCII form, no default port, no fragment, and no
    parameters that only track.
    """
    text = given.strip(" \t\r\n")
    if not text:
        raise SourceError("url_empty", "Write an address.")
    if len(text) > LONGEST_URL:
        raise SourceError("url_too_long", f"An address has at most {LONGEST_URL:,} characters.")
    scheme = _SCHEME.match(text)
    web = scheme is not None and scheme[1].lower() in ("http", "https")
    if scheme is not None and web and not text.startswith("//", scheme.end()):
        raise _no_host()
    odd = _ODD.search(text)
    if odd is not None:
        hint = " Write one address a line." if odd[0] == " " and "://" in text[odd.end() :] else ""
        n = odd.start() + 1
        raise SourceError(
            "bad_character", f"The address has a character that is not allowed (position {n}).{hint}"
        )
    if not web:
        raise SourceError("url_scheme", "Start with https:// or http://.")
    if "," in text and re.search(r",https?://", text):
        raise SourceError("bad_character", "Write one address a line.")
    return _put_together(text)


def joined(base: str, link: str) -> str:
    """Return the canonical form of a link that stands on a page. Raises SourceError."""
    try:
        whole = urljoin(base, link.strip())
    except ValueError as error:
        raise _no_host() from error
    return canonical(whole)


def shown(url: str) -> str:
    """Return an address for lists and logs: what its query holds may be a secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")) + ("?..." if parts.query else "")


def label(url: str) -> str:
    """Return an address as an item is called; one that cannot be taken apart is shown as it begins."""
    try:
        return shown(url)[:300]
    except ValueError:
        return url.partition("?")[0][:300]


def escaped(text: str) -> str:
    """Return a part of a path or a query as it stands in a canonical address. (RFC 9309, 2.2.2)"""
    return quote(_escaped(text), safe=_PATH + "?")


def origin(url: str) -> str:
    """Return scheme, host and port of a canonical address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def host_of(url: str) -> str:
    """Return the host of a canonical address."""
    return urlsplit(url).hostname or ""


def _put_together(text: str) -> str:
    try:
        parts = urlsplit(text)
        username = parts.username is not None or parts.password is not None
        name = parts.hostname or ""
    except ValueError as error:
        raise _no_host() from error
    if username:
        raise SourceError("url_credentials", NO_CREDENTIALS)
    if not name:
        raise _no_host()
    secure = parts.scheme == "https"
    host = _host(name)
    port = _port(parts.netloc, host, 443 if secure else 80)
    path = quote(_escaped(parts.path), safe=_PATH) or "/"
    query = _query(parts.query)
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    whole = urlunsplit((parts.scheme, netloc, path, query, ""))
    if len(whole) > LONGEST_URL:
        raise SourceError("url_too_long", f"An address has at most {LONGEST_URL:,} characters.")
    return whole


def _escaped(path: str) -> str:
    """Return a path with what needs no escape written plainly; other escapes stay, in capitals."""

    def plain(found: re.Match[str]) -> str:
        character = unquote(found[0])
        return character if re.fullmatch(r"[A-Za-z0-9._~-]", character) else found[0].upper()

    # A % that begins no escape is one of its own.
    return re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", re.sub(r"%[0-9A-Fa-f]{2}", plain, path))


def _query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=None, encoding="latin-1")
    if any(_TRACKING.fullmatch(name.lower()) for name, _ in pairs):
        kept = [(name, value) for name, value in pairs if not _TRACKING.fullmatch(name.lower())]
        return urlencode(kept, encoding="latin-1")
    return quote(_escaped(query), safe=_QUERY + "&")


def _host(name: str) -> str:
    """Return a host in ASCII. Raises SourceError for one that is none, or that leads inside."""
    if ":" in name:  # urlsplit has read it between brackets
        _check_number(name)
        return str(ipaddress.ip_address(name))
    try:
        host = name if name.isascii() else name.encode("idna").decode()
        if any(label.startswith("xn--") for label in host.split(".")):
            host.encode().decode("idna")
    except UnicodeError as error:
        raise SourceError("url_idna", "The host name cannot be written in ASCII.") from error
    host = host.lower()
    labels = host.removesuffix(".").split(".")
    if len(host) > LONGEST_NAME or not all(0 < len(label) <= LONGEST_LABEL for label in labels):
        raise _no_host()
    if not re.fullmatch(r"[a-z0-9_.\-]+", host):
        raise _no_host()
    if labels[-1].isdigit() or re.fullmatch(r"0x[0-9a-f]*", labels[-1]):
        # As a resolver reads it: 127.1, 0x7f.1, 2130706433.
        try:
            host = socket.inet_ntoa(socket.inet_aton(host.removesuffix(".")))
        except OSError as error:
            raise _no_host() from error
        _check_number(host)
        return host
    if host not in settings.FETCH_ALLOW and (len(labels) == 1 or labels[-1] in INSIDE):
        raise SourceError("url_private", NOT_ALLOWED)
    return host.removesuffix(".")


def _check_number(host: str) -> None:
    try:
        inside = not is_public(host)
    except ValueError as error:
        raise _no_host() from error
    if inside and host not in settings.FETCH_ALLOW:
        raise SourceError("url_private", NOT_ALLOWED)


def _port(netloc: str, host: str, default: int) -> int | None:
    """Return the port if it is not the usual one. Raises SourceError for one where no pages are served."""
    given = netloc.rpartition("]")[2].rpartition(":")
    if not given[1] or not given[2]:
        return None
    text = given[2]
    port = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if port not in PORTS and not (0 < port < 2**16 and host in settings.FETCH_ALLOW):
        raise SourceError("url_port", f"Pages are fetched from the ports {', '.join(map(str, PORTS))} only.")
    return None if port == default else port


def _no_host() -> SourceError:
    return SourceError("url_no_host", "The address names no host that could be asked.")
