"""Recognise the encoding of text without trying codecs in turn: most of them accept anything."""

import codecs
import re
from collections.abc import Callable
from typing import IO

import charset_normalizer

from ingestion.errors import SourceError

CHUNK = 1 << 20
SAMPLE = 64 << 10  # of lines with bytes outside ASCII

_MARKS = (  # the longer first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# In the order in which equal readings are told apart: the usual ones of our files first.
_LEGACY = [
    "cp1252",
    "iso8859_15",
    "cp1250",
    "iso8859_2",
    "cp1251",
    "koi8_r",
    "iso8859_7",
    "cp1253",
    "cp1254",
    "cp1257",
    "mac_roman",
    "cp1255",
    "cp1256",
    "cp850",
    "shift_jis",
    "euc_jp",
    "gb18030",
    "big5",
    "euc_kr",
]
_NOT_ASCII_LINE = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")
_RUN = re.compile(rb"[\x80-\xff]+")

# A rival: a reading in other letters, as clean as the first, of a language at least this likely beside it.
RIVAL = 0.6
CLOSE = 0.13  # how much less clean a Latin reading may be and still be compared
LATIN = "latin"

_ALPHABETS = (
    "àâæçéèêëîïôœùûüÿ",  # French
    "äöüßé",  # German
    "áéíóúüñ",  # Spanish
    "áâãàçéêíóôõúü",  # Portuguese
    "àèéìíîòóù",  # Italian
    "æøåäöéèòôó",  # Danish, Norwegian, Swedish
    "áéíóúýþæðö",  # Icelandic
    "éëïóöüè",  # Dutch
    "äöåšžõü",  # Finnish, Estonian
    "áčďéěíňóřšťúůýžäĺľŕô",  # Czech, Slovak
    "ąćęłńóśźż",  # Polish
    "áéíóöőúüű",  # Hungarian
    "ăâîșțşţ",  # Romanian
    "čćđšž",  # Croatian, Slovenian
    "ąčęėįšųūž",  # Lithuanian
    "āčēģīķļņšūž",  # Latvian
    "çğıi̇öşüâî",  # Turkish  # noqa: RUF001
)
_MARKS_OF_TEXT = "\u00a0«»–—‘’‚“”„…§°©®€£·²³½&"  # noqa: RUF001


def from_mark(head: bytes) -> tuple[str, int] | None:
    """Return the encoding and length of a byte order mark, or None."""
    return next(((name, len(mark)) for mark, name in _MARKS if head.startswith(mark)), None)


def from_zeros(head: bytes) -> str | None:
    """Return UTF-16 or UTF-32 without a mark, told by where its zero bytes are, or None."""
    quarter = len(head) // 4
    zeros = [head[place::4].count(0) for place in range(4)]
    if quarter < 2 or max(zeros) < quarter * 0.4:
        return None
    pattern = "".join("0" if count >= quarter * 0.4 else "x" for count in zeros)
    return {"x000": "utf-32-le", "000x": "utf-32-be", "x0x0": "utf-16-le", "0x0x": "utf-16-be"}.get(pattern)


def recognise(file: IO[bytes], check: Callable[[], None] = lambda: None) -> tuple[str, int]:
    """Return (encoding, length of the mark) of a whole file. Raises SourceError file_encoding."""
    head = file.read(CHUNK)
    if found := from_mark(head):
        return found
    if name := from_zeros(head[: 64 << 10]):
        return name, 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    done, bad_line, sample, chunk = 0, 0, bytearray(), head
    while chunk:
        check()
        is_ascii = chunk.isascii()
        if not bad_line and not (is_ascii and not decoder.getstate()[0]):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                bad_line = _line_at(file, done + max(0, min(error.start, len(chunk))))
        done += len(chunk)
        if len(sample) < SAMPLE and not is_ascii:
            for text in _NOT_ASCII_LINE.findall(chunk):
                sample += text[:2000] + b"\n"
        if len(sample) >= SAMPLE and bad_line:
            break
        chunk = file.read(CHUNK)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        bad_line = bad_line or _line_at(file, done)
    if not bad_line:
        return "utf-8", 0
    name = _legacy(bytes(sample[: SAMPLE * 2]))
    if name is None:
        raise not_text(bad_line)
    return name, 0


def _line_at(file: IO[bytes], place: int) -> int:
    """Return the number of the line that a byte is in, counted once it is asked for: few files have one."""
    back = file.tell()
    file.seek(0)
    line = 1
    while place > 0:
        chunk = file.read(min(CHUNK, place))
        if not chunk:
            break
        line += lines_in(chunk)
        place -= len(chunk)
    file.seek(back)
    return line


def recognise_head(head: bytes, whole: bool) -> tuple[str, int] | None:
    """Return what the first bytes say, or None when only the whole file can tell. Raises file_encoding."""
    if found := from_mark(head):
        return found
    if name := from_zeros(head):
        return name, 0
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError as error:
        name = _legacy(b"\n".join(_NOT_ASCII_LINE.findall(head)))
        if name is None and whole:
            raise not_text(1 + lines_in(head[: error.start])) from None
        return (name, 0) if name else None
    return "utf-8", 0


def _legacy(sample: bytes) -> str | None:
    """Return the encoding of lines that are not UTF-8, None when some are: then the file mixes two."""
    valid = invalid = 0
    for run in _RUN.findall(sample):
        try:
            run.decode()
            valid += 1
        except UnicodeDecodeError:
            invalid += 1
    return None if valid > invalid // 10 else guess(sample)


def guess(sample: bytes) -> str | None:
    """Return the encoding that makes words of these bytes, or None when two readings are as good."""
    found = charset_normalizer.from_bytes(sample, cp_isolation=_LEGACY, threshold=0.15)
    best = found.best()
    if best is None:
        return None
    for other in found:
        as_clean = other.chaos <= best.chaos and other.coherence >= best.coherence * RIVAL
        if other is not best and as_clean and _letters(str(other)) != _letters(str(best)):
            return None
    if _letters(str(best)) != LATIN:
        names = {best.encoding, *best.could_be_from_charset}
        return next((name for name in _LEGACY if name in names), best.encoding)
    # Latin encodings differ in a few letters only: the one whose letters one language has.
    shares: dict[str, float] = {}
    for one in found:
        if one.chaos <= best.chaos + CLOSE and _letters(str(one)) == LATIN:
            share = _share_of_one_language(str(one))
            shares |= dict.fromkeys((one.encoding, *one.could_be_from_charset), share)
    known = [name for name in _LEGACY if name in shares]
    return max(known, key=lambda name: shares[name], default=best.encoding)


def transcode(
    source: IO[bytes], target: IO[bytes], encoding: str, most: int, check: Callable[[], None] = lambda: None
) -> None:
    """Write `source` as UTF-8. Raises SourceError file_encoding, file_too_large."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, size, ended = 1, 0, False
    while not ended:
        check()
        chunk = source.read(CHUNK)
        ended = not chunk
        try:
            text = decoder.decode(chunk, final=ended)
        except UnicodeDecodeError as error:
            before = chunk[: error.start].decode(encoding, "ignore")
            raise not_text(line + before.count("\n")) from None
        line += text.count("\n")
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise not_text(line) from None
        size += len(data)
        if size > most:
            raise SourceError("file_too_large", f"The file is larger than the {most >> 20:,} MB limit.")
        target.write(data)


def lines_in(data: bytes) -> int:
    """Return how many lines end in these bytes."""
    return data.count(b"\n") or data.count(b"\r")


def not_text(line: int) -> SourceError:
    """Return the refusal of a file that cannot be read as text."""
    return SourceError(
        "file_encoding", f"Line {line:,} is not UTF-8 text. Save the file as UTF-8 and try again."
    )


def _share_of_one_language(text: str) -> float:
    """Return the share of the characters outside ASCII that the best fitting language has."""
    odd = [letter for letter in text.lower() if ord(letter) > 127 and letter not in _MARKS_OF_TEXT]
    if not odd:
        return 1.0
    return max(sum(letter in alphabet for letter in odd) for alphabet in _ALPHABETS) / len(odd)


def _letters(text: str) -> str:
    """Return which alphabet most letters outside ASCII are of."""
    blocks = [ord(letter) >> 7 for letter in text if ord(letter) > 127 and letter.isalpha()]
    block = max(set(blocks), key=blocks.count) if blocks else 0
    return LATIN if block < 6 else "cyrillic" if block in (8, 9) else str(block)
