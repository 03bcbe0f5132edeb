"""Serve static files before Django: whitenoise's own middleware would hold a thread for every async view."""

import asyncio
import re
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from whitenoise import WhiteNoise
from whitenoise.responders import MissingFileError, StaticFile
from whitenoise.storage import CompressedManifestStaticFilesStorage

CHUNK = 256 * 1024
YEAR = 365 * 24 * 3600
OURS = ("headway/", "realtime/")
# What follows a `//` within a text has the text's closing quote in it.
_COMMENT = re.compile(r"""(^|\s+)//(?: [^"'`]*)?$""")


def lean(script: str) -> str:
    """Return a script of ours without comments and indentation, which no browser needs.

    Our comments go from `//` to the end of the line. A text in backquotes stays as it is.
    """
    lines = []
    quoted = False
    for line in script.splitlines():
        shown = line
        if not quoted:
            shown = line.strip()
            shown = "" if shown.startswith("//") else _COMMENT.sub("", shown)
        if shown or quoted:
            lines.append(shown)
        quoted ^= shown.count("`") % 2 == 1
    return "\n".join([*lines, ""])


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # it has no types
    """Collected files with the hash of their content in their names, scripts that are imported too.

    Otherwise a script that is imported would be kept for a year, whatever it says by then. Django can do that
    for all scripts or for none, and those of others name files that are not there.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        ("headway/*.js", ((r"""(?P<matched>\bfrom "(?P<url>\./[^"]+)";)""", 'from "%(url)s";'),)),
    )

    def _save(self, name: str, content: Any) -> str:
        if name.startswith(OURS) and name.endswith(".js"):
            content = ContentFile(lean(b"".join(content.chunks()).decode()).encode())
        return str(super()._save(name, content))


class StaticFiles:
    """ASGI wrapper: answers below STATIC_URL, lets everything else through."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.files = WhiteNoise(None, max_age=YEAR if settings.PRODUCTION else 0)
        if settings.PRODUCTION:  # collected, with the hash of their content in their names
            self.files.add_files(str(settings.STATIC_ROOT), prefix=settings.STATIC_URL)

    def find(self, url: str) -> StaticFile | None:
        """Return the file of an address, or None."""
        if settings.PRODUCTION:
            found = self.files.files.get(url)
            return found if isinstance(found, StaticFile) else None
        try:
            path = finders.find(url.removeprefix(settings.STATIC_URL))
            return self.files.get_static_file(path, url) if path else None
        except (MissingFileError, SuspiciousFileOperation):
            return None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or not scope["path"].startswith(settings.STATIC_URL):
            await self.app(scope, receive, send)
            return
        file = await asyncio.to_thread(self.find, scope["path"])
        if file is None:
            await self.app(scope, receive, send)  # Django's own 404
            return
        headers = {
            "HTTP_" + name.decode("latin-1").upper().replace("-", "_"): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        answer = await asyncio.to_thread(file.get_response, scope["method"], headers)
        start = [(name.lower().encode(), str(value).encode()) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": int(answer.status), "headers": start})
        try:
            while answer.file and (chunk := await asyncio.to_thread(answer.file.read, CHUNK)):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            if answer.file:
                answer.file.close()
        await send({"type": "http.response.body", "body": b""})
