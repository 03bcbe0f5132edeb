"""What the filters of a list say in a URL or a form: one way of reading and writing them for all pages."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self
from urllib.parse import urlencode

from config.problems import Problem
from config.texts import plain, shows

MAX_TEXT = 200  # characters


def texts_of(query: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the text of each of these filters, in one line of at most MAX_TEXT; "" where nothing is said."""
    return {name: plain(query.get(name) or "", MAX_TEXT) for name in names}


def visible_text(query: Mapping[str, str], name: str, most: int = MAX_TEXT) -> str:
    """Return the text of a filter in one line of at most `most` characters; "" where nothing is said.

    Raises Problem for one of which nothing shows: it would be no filter, and all would be meant.
    """
    given = query.get(name) or ""
    text = plain(given, most)
    if given.strip() and not shows(text):
        raise Problem("bad_parameter", name=name, reason="nothing of it can be seen")
    return text


@dataclass(frozen=True)
class UrlFilters:
    """What a page shows. Values that mean nothing are left out, so that an old link still opens.

    A page declares its fields, all texts with what holds where nothing is said; where its page begins is
    `before`. known: what a field may say, where that is a choice.
    """

    known: ClassVar[Mapping[str, Container[str]]] = {}

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """Read the filters of a URL or of a form. Raises Problem as `visible_text` does."""
        names = [field.name for field in fields(cls)]
        free = [name for name in names if name not in cls.known and name != "before"]
        said = texts_of(query, names) | {name: visible_text(query, name) for name in free}
        return cls(**{k: v for k, v in said.items() if k not in cls.known or v in cls.known[k]})

    def query(self, **changes: str) -> str:
        """Return the query string of these filters, changed; a change starts at the first page."""
        return urlencode(replace(self, **{"before": "", **changes}).said())

    def said(self) -> dict[str, str]:
        """Return what differs from the page without filters."""
        ours = fields(self)
        return {one.name: text for one in ours if (text := getattr(self, one.name)) != one.default}

    @property
    def chosen(self) -> list[tuple[str, str]]:
        """Return what is said besides the place, for a form that sends it again."""
        return [(name, value) for name, value in self.said().items() if name != "before"]

    @property
    def narrowed(self) -> bool:
        """Say whether anything is filtered."""
        return bool(self.chosen)
