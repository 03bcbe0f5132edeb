"""Say which rows of a span are unremarkable by its bytes: a column at once, no object for a cell.

Like `patterns` it may miss what is unremarkable, and never takes what is not; it takes a quarter of the time.
Loading numpy costs as much as fifty thousand rows do, so only large spans are worth it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingestion.sources.imports import patterns
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.dates import TYPES as DATES
from ingestion.sources.imports.definition import IDENTIFIER, Column
from ingestion.sources.imports.records import MAX_CELL
from ingestion.sources.imports.rowtext import ESCAPED, SEPARATOR
from ingestion.sources.imports.values import BLANKS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Places = NDArray[np.intp]
    Flags = NDArray[np.bool_]

WORTH = 512 << 10  # bytes of a span
FEW = 8  # where more than one row in so many is odd, another way is quicker
LONGEST_KEY = 64  # bytes of an identifier whose order is looked at
ROOM = 64  # bytes behind the last cell
NUMBERS = ("integer", "decimal")
_CUT, _END, _BLANK, _ZERO, _POINT, _HYPHEN = map(ord, f"{SEPARATOR}\n 0.-")
_WHOLE, _FRACTION = 15, 8  # digits of a number
_KELVIN = "\u212a"  # its lower case is a letter of ASCII, so that it may stand in a word for nothing
# Looked for anywhere: what `patterns` lets no cell hold. A plain blank is looked for at the ends of a cell.
_STRANGE = tuple(one.encode() for one in sorted({*BLANKS, *ESCAPED, _KELVIN} - {" ", "\n"}))

# Whether values of a column, of which one is given at least, are remarkable.
Remarkable = Callable[[set[str]], Mapping[str, object]]


@dataclass(frozen=True)
class Table:
    """A span all of whose rows are as wide as the header.

    data: a row a line, `SEPARATOR` between cells; more follows, so that every cell can be read too far.
    starts, ends: of cells, by column and row. odd: the places of rows that may be remarkable.
    """

    data: "Bytes"
    starts: "Places"
    ends: "Places"
    odd: Sequence[int]

    @property
    def rows(self) -> int:
        """Return how many rows there are."""
        return int(self.starts.shape[1])

    def cells(self, row: int) -> list[str]:
        """Return the cells of a row."""
        return [self.text(place, row) for place in range(len(self.starts))]

    def text(self, place: int, row: int) -> str:
        """Return a cell."""
        return self.data[self.starts[place, row] : self.ends[place, row]].tobytes().decode()

    def lines(self) -> str:
        """Return a line for each row, empty for an odd one."""
        whole, left = self.data.data, 0
        parts = []
        for row in self.odd:
            parts.append(whole[left : self.starts[0, row]])
            left = int(self.ends[-1, row])
        return b"".join([*parts, whole[left : self.ends[-1, -1]]]).decode()


class Reader:
    """Reads spans of one import. others: columns that are judged value by value."""

    def __init__(self, columns: Columns, others: Mapping[int, Remarkable]) -> None:
        self._others = others
        self._width = len(columns.header)
        self._columns = {
            match.index: columns.target(match) for match in columns.matches if match.index not in others
        }
        self._identifier = next(one.index for one in columns.matches if one.target == IDENTIFIER)
        self._words = _Words(columns.definition.empty)
        self._memory: dict[str, NDArray[Any]] = {}

    def read(self, data: bytes, cut: int) -> Table | None:
        """Return the rows of a text, None where another way is better.

        data: whole lines, no quotes. cut: what is between cells there.
        """
        import numpy as np

        rows = data.count(b"\n")
        strange = _strange(data, cut, rows // FEW)
        if strange is None:
            return None
        text = self._text(data, cut)
        found = self._ends(text)
        if found.size != rows * self._width or (text[found[self._width - 1 :: self._width]] != _END).any():
            return None
        shape = self._width, rows
        starts, ends = (self._kept(name, found.size, np.intp).reshape(shape) for name in ("starts", "ends"))
        ends[:] = found.reshape(rows, -1).T
        np.add(ends[:-1], 1, out=starts[1:])
        starts[0, 0] = 0
        np.add(ends[-1, :-1], 1, out=starts[0, 1:])
        if (ends[-1] - starts[0]).max() > MAX_CELL:
            return None
        odd = self._odd(text, starts, ends)
        odd[np.searchsorted(ends[-1], strange)] = True
        for place, remarkable in self._others.items():
            self._mark(odd, Table(text, starts, ends, ()), place, remarkable)
        if np.count_nonzero(odd) > rows // FEW + 1:
            return None
        return Table(text, starts, ends, np.flatnonzero(odd).tolist())

    def ends(self, table: Table, said: Mapping[int, str]) -> tuple[str, str] | None:
        """Return the first and the last identifier where each is above the one before it, else None.

        They are empty where there is none. said: those of odd rows, by place; others of them have none.
        """
        import numpy as np

        start = table.starts[self._identifier]
        size = table.ends[self._identifier] - start
        size[list(table.odd)] = 0
        width = max(1, int(size.max()), *(len(text.encode()) for text in said.values()))
        if width > LONGEST_KEY:
            return None
        places = np.arange(width)
        letters = table.data.take(start[:, None] + places)
        letters[places >= size[:, None]] = 0
        keys = letters.view(f"S{width}").ravel()
        for row, text in said.items():
            keys[row] = text.encode()
        keys = keys[keys != b""]
        if not keys.size:
            return "", ""
        return (keys[0].decode(), keys[-1].decode()) if (keys[1:] > keys[:-1]).all() else None

    def _text(self, data: bytes, cut: int) -> "Bytes":
        """Return the bytes of a text with `SEPARATOR` between cells, and room behind them."""
        import numpy as np

        text = self._kept("text", len(data) + ROOM, np.uint8)
        text[: len(data)] = np.frombuffer(data, np.uint8)
        text[len(data) :] = 0
        if cut != _CUT:
            is_cut = np.equal(text, cut, out=self._kept("flags", len(text), np.bool_)).view(np.uint8)
            np.negative(is_cut, out=is_cut)  # all bits of one
            is_cut &= np.uint8(cut ^ _CUT)
            text ^= is_cut
        return text

    def _ends(self, text: "Bytes") -> "Places":
        """Return where cells end."""
        import numpy as np

        is_end = np.equal(text, _CUT, out=self._kept("flags", len(text), np.bool_))
        is_end |= np.equal(text, _END, out=self._kept("more flags", len(text), np.bool_))
        return np.flatnonzero(is_end)

    def _kept(self, name: str, size: int, kind: type) -> "NDArray[Any]":
        """Return memory for `size` numbers, the same every time: new pages cost more than what is done."""
        import numpy as np

        if len(self._memory.get(name, ())) < size:
            self._memory[name] = np.empty(size + size // 4, kind)
        return self._memory[name][:size]

    def _odd(self, data: "Bytes", starts: "Places", ends: "Places") -> "Flags":
        """Return which rows hold a cell that may be remarkable."""
        import numpy as np

        odd = np.zeros(starts.shape[1], np.bool_)
        for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
            size = end - start
            column = self._columns.get(place)
            if column is None:
                odd |= size > patterns.FREE
                continue
            if column.type in DATES:
                wrong = _is_no_date(data, start, size)
            elif column.type in NUMBERS:
                wrong = _is_no_number(data, start, size, column)
            else:
                wrong = (
                    (size > column.longest)
                    | (data.take(start) == _BLANK)
                    | (data.take(end - 1, mode="wrap") == _BLANK)
                )
                wrong |= self._words.found(data, start, size)
            empty = size == 0
            odd |= np.where(empty, column.required and not column.default, wrong)
        return odd

    def _mark(self, odd: "Flags", table: Table, place: int, remarkable: Remarkable) -> None:
        """Mark the rows that are remarkable by their value in one column."""
        odd |= table.ends[place] - table.starts[place] > patterns.FREE
        rows = (~odd).nonzero()[0].tolist()
        texts = [table.text(place, row) for row in rows]
        found = remarkable(set(texts))
        if found:
            odd[[row for row, text in zip(rows, texts, strict=True) if text in found]] = True


def takes(column: Column) -> bool:
    """Say whether the cells of a column, for which there is a pattern, are told apart here by their bytes."""
    if column.type in NUMBERS:
        return column.least in (None, 0) and column.most is None
    return column.type in ("text", "code", *DATES)


class _Words:
    """Finds cells that say nothing in a word, and some that only look so."""

    def __init__(self, words: Sequence[str]) -> None:
        import numpy as np

        said = [word.encode() for word in words if word]
        self._letters: dict[int, list[Flags]] = {}
        for length in {len(word) for word in said}:
            self._letters[length] = [np.zeros(256, np.bool_) for _ in range(length)]
        self._first = np.zeros(256, np.bool_)
        for word in said:
            for place, letter in enumerate(word):
                self._letters[len(word)][place][[letter, ord(chr(letter).upper())]] = True
            self._first |= self._letters[len(word)][0]

    def found(self, data: "Bytes", start: "Places", size: "Places") -> "Flags":
        """Return which cells may be one of the words."""
        import numpy as np

        found = np.zeros(len(start), np.bool_)
        likely = np.flatnonzero(self._first[data.take(start)] & (size <= max(self._letters, default=0)))
        for length, letters in self._letters.items():
            places = likely[size[likely] == length]
            for place, ones in enumerate(letters):
                places = places[ones[data[start[places] + place]]]
            found[places] = True
        return found


def _strange(data: bytes, cut: int, most: int) -> list[int] | None:
    """Return where characters stand that make a row odd, None where they are more than `most`."""
    found: list[int] = []
    for one in _STRANGE:
        # One byte is found at a tenth of the time of two.
        place = data.find(one) if one[0] != cut and one[:1] in data else -1
        while place >= 0:
            found.append(place)
            if len(found) > most:
                return None
            place = data.find(one, place + 1)
    return found


def _is_no_date(data: "Bytes", start: "Places", size: "Places") -> "Flags":
    """Return which cells are not a day of the calendar as ISO writes it, 29 February said to be none."""
    digits = [data.take(start + place) - _ZERO for place in (0, 1, 2, 3, 5, 6, 8, 9)]
    wrong: Flags = (
        (size != 10)
        | (data.take(start + 4) != _HYPHEN)
        | (data.take(start + 7) != _HYPHEN)
        | (digits[0] == 0)
    )
    for one in digits:
        wrong |= one > 9
    month, day = digits[4] * 10 + digits[5], digits[6] * 10 + digits[7]
    wrong |= (month == 0) | (month > 12) | (day == 0) | (day > 31)
    wrong |= (day > 28) & (month == 2)
    for short in (4, 6, 9, 11):
        wrong |= (day > 30) & (month == short)
    return wrong


def _is_no_number(data: "Bytes", start: "Places", size: "Places", column: Column) -> "Flags":
    """Return which cells are not a plain number, as `patterns` takes it."""
    import numpy as np

    if column.least is None:
        sign = data.take(start) == _HYPHEN
        start, size = start + sign, size - sign
    else:
        sign = np.zeros(len(start), np.bool_)
    wrong: Flags = (size < 1) | (size > _WHOLE + 1 + _FRACTION)
    whole = size.copy()  # digits before a point
    for place in range(min(int(size.max(initial=0)), _WHOLE + 1 + _FRACTION)):
        letter = data.take(start + place)
        inside = size > place
        is_point = (letter == _POINT) & inside
        wrong |= ((letter - _ZERO) > 9) & inside & ~is_point
        wrong |= is_point & (whole < place)
        whole[is_point] = place
    leads = data.take(start) == _ZERO
    wrong |= (whole < 1) | (whole > _WHOLE)
    if column.type == "integer":
        wrong |= (whole != size) | leads & ((size > 1) | sign)
        return wrong
    fraction = size - whole - 1
    wrong |= (fraction == 0) | (fraction > _FRACTION) | leads & (whole > 1)
    return wrong
