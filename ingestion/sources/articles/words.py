"""Words as they are compared: one form for what reads the same."""

import re
import unicodedata

LONGEST_KEYWORD = 100  # characters
_BETWEEN = re.compile(r"[\s_\-\u2010-\u2015]+")


def fold(text: str) -> str:
    """Return a text as it is compared: compatible forms, no case, hyphens and spaces alike."""
    return _BETWEEN.sub(
        " ", unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    ).strip()
