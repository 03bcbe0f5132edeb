"""What was said in an item, line by line, from the tree that a service tells."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SHORT = 100  # lines of an item on its day's page, which leads to the rest
PAGE = 1000  # lines of a page of its own


@dataclass(frozen=True)
class Line:
    """What one said, or a heading."""

    text: str
    speaker: str = ""
    heading: bool = False


def lines(contents: Any, markdown: str = "") -> list[Line]:
    """Return what was said from top to bottom. markdown: what is shown where there are no contents."""
    return list(_of_tree(contents)) or list(_of_markdown(markdown))


def _of_tree(contents: Any) -> Iterator[Line]:
    """Yield a tree of contents, however deep and odd it is."""
    waiting = list(reversed(contents)) if isinstance(contents, list) else []
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict):
            continue
        text, kind = node.get("content"), node.get("type")
        if isinstance(text, str) and text.strip() and kind != "heading1":  # that one is the title
            speaker = node.get("speakerName")
            name = "You" if node.get("speakerIdentifier") == "user" else speaker
            yield Line(text, name if isinstance(name, str) else "", str(kind).startswith("heading"))
        children = node.get("children")
        waiting += reversed(children) if isinstance(children, list) else []


def _of_markdown(markdown: str) -> Iterator[Line]:
    for line in markdown.splitlines():
        text = line.strip()
        if text and not text.startswith("# "):  # that one is the title
            yield Line(text.lstrip("#>- "), heading=text.startswith("#"))
