"""What the filters of a list say in a URL or a form: one way of reading them for all pages."""

from collections.abc import Iterable, Mapping

from config.texts import plain

MAX_TEXT = 200  # characters


def texts_of(query: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the text of each of these filters, in one line of at most MAX_TEXT; "" where nothing is said."""
    return {name: plain(query.get(name) or "", MAX_TEXT) for name in names}
