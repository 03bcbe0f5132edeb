"""How the cells of a staged row are kept: as one text, half the work of JSON or an array."""

from collections.abc import Sequence
from typing import Any

from django.db import models
from psycopg import sql

SEPARATOR = "\x1f"  # between cells; `checks` lets no cell hold it


class CellsField(models.TextField):  # type: ignore[type-arg]  # at run time it takes none
    """A list of texts, in a column of type text."""

    def from_db_value(self, value: str | None, *_: Any) -> list[str] | None:
        """Return the cells."""
        return None if value is None else value.split(SEPARATOR)

    def get_prep_value(self, value: Any) -> Any:
        """Return the text of a list of cells."""
        return SEPARATOR.join(value) if isinstance(value, list | tuple) else value


def cell(place: int) -> sql.Composable:
    """Return SQL for a cell of a staged row. place: from 0."""
    return sql.SQL("split_part(cells, {}, {})").format(sql.Literal(SEPARATOR), sql.Literal(place + 1))


def copy_text(cells: Sequence[str]) -> str:
    """Return cells as COPY's text format wants them."""
    return SEPARATOR.join(cells).translate(_ESCAPED)


_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
ESCAPED = frozenset("\\\t\r")  # of the characters that a line of a file can hold
