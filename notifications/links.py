"""Where a notification may lead: to a path of this site, or past a page that names it to a host we allow."""

from urllib.parse import quote, urlsplit

from django.conf import settings
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

MAX_LINK = 1000  # characters


def check(url: str) -> str:
    """Return a link as it may be stored: "", a path of this site, or http(s) to a host we allow.

    An absolute address of this site becomes its path. Raises ValueError (seed S2.105).
    """
    if url.startswith((f"{settings.SITE_URL}/", f"{settings.SITE_URL}?")) or url == settings.SITE_URL:
        url = "/" + url.removeprefix(settings.SITE_URL).removeprefix("/")
    if url and not _is_path(url) and not is_outside(url):
        raise ValueError("The link must be a path of this site, or lead to an allowed host.")
    return url


def is_outside(url: str) -> bool:
    """Say whether this leads to another host that we allow."""
    # With its scheme written out, in lower case or not: "//host" and "https:host" are read in many ways.
    spelt = url[:8].lower().startswith(("http://", "https://"))
    return spelt and _is_plain(url) and url_has_allowed_host_and_scheme(url, settings.LINK_HOSTS)


def href(url: str) -> str:
    """Return what a page of ours may put into `href`; "" for what must not be a link.

    Judges anew: a row may have been written by hand, or a host allowed no longer.
    """
    if is_outside(url):
        return f"{reverse('notifications:leave')}?to={quote(url, safe='')}"
    return url if _is_path(url) else ""


def absolute(url: str) -> str:
    """Return what a mail may link to; "" for what must not be a link."""
    path = href(url)
    return settings.SITE_URL + path if path else ""


def host_of(url: str) -> str:
    """Return the host that an outside link names."""
    return urlsplit(url).hostname or ""


def _is_path(url: str) -> bool:
    return url.startswith("/") and _is_plain(url) and url_has_allowed_host_and_scheme(url, None)


def _is_plain(url: str) -> bool:
    # Browsers drop tabs and newlines, and read a backslash as a slash: what is judged must be what they read.
    # Of the white space only the blank is printable.
    return len(url) <= MAX_LINK and "\\" not in url and " " not in url and url.isprintable()
