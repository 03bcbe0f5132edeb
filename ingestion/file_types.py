"""What a file is: judged by its first bytes, and whether that is what its name promises."""

from config.problems import Problem
from ingestion.models import Upload

HEAD = 64 * 1024  # bytes that the type is judged by

TEXT = "text/plain"
CSV = "text/csv"
HTML = "text/html"
SVG = "image/svg+xml"
PDF = "application/pdf"
GZIP = "application/gzip"
ZIP = "application/zip"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
DOC = "application/msword"
RTF = "application/rtf"
PICTURES = PNG, GIF, JPEG = "image/png", "image/gif", "image/jpeg"
UNKNOWN = "application/octet-stream"

# What a name promises: (what to call it, the types that keep the promise).
_PROMISES = {
    "csv": ("CSV", {CSV, TEXT, GZIP, XLSX}),
    "tsv": ("CSV", {CSV, TEXT, GZIP, XLSX}),
    "txt": ("text", {CSV, TEXT, HTML}),
    "md": ("text", {CSV, TEXT, HTML}),
    "gz": ("gzip", {GZIP}),
    "xlsx": ("Excel", {XLSX}),
    "docx": ("Word", {DOCX}),
    "pdf": ("PDF", {PDF}),
    "html": ("HTML", {HTML, TEXT, CSV}),
    "htm": ("HTML", {HTML, TEXT, CSV}),
}
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_SEPARATORS = ",;\t|"
# How files begin that are no text although all their bytes may be letters.
_NO_TEXT = (
    b"{\\rtf", b"\xd0\xcf\x11\xe0", b"\x7fELF", b"MZ\x90", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"%!PS",
    b"RIFF",
)  # fmt: skip
# Those of them of which a source may say what to do instead.
_KNOWN_BY = (
    (b"{\\rtf", RTF), (b"\xd0\xcf\x11\xe0", DOC), (b"\x89PNG", PNG), (b"GIF8", GIF), (b"\xff\xd8\xff", JPEG),
)  # fmt: skip


def type_of(head: bytes) -> str:
    """Return the media type by the first bytes; the name and what the client says are not asked."""
    if head.startswith(b"\x1f\x8b"):
        return GZIP
    if head.startswith(b"PK\x03\x04"):
        return _office(head)
    if b"%PDF-" in head[:1024]:
        # A picture that is also a PDF is neither.
        return PDF if not head.startswith((b"GIF8", b"\x89PNG", b"\xff\xd8")) else UNKNOWN
    text = _text(head)
    if text is None:
        return next((kind for sign, kind in _KNOWN_BY if head.startswith(sign)), UNKNOWN)
    start = text.lstrip().lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<body", "<script")):
        return HTML
    if "<svg" in start[:1000] and start.startswith("<"):
        return SVG
    first = text.lstrip("\r\n").split("\n", 1)[0]
    return CSV if any(separator in first for separator in _SEPARATORS) else TEXT


def _office(head: bytes) -> str:
    if b"xl/" in head or b"spreadsheetml" in head:
        return XLSX
    if b"word/" in head or b"wordprocessingml" in head:
        return DOCX
    return ZIP


def _text(head: bytes) -> str | None:
    """Return the start of a text, or None for what is no text. Old encodings are text too."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return head[len(bom) :].decode(encoding, "ignore")
    if head.startswith(_NO_TEXT):
        return None
    if head.count(b"\x00") > len(head) // 10:
        # Half of the bytes of Latin text in UTF-16 without a mark are zero, all on one side.
        even, odd = head[::2].count(0), head[1::2].count(0)
        if max(even, odd) < len(head) * 0.3 or min(even, odd) > len(head) * 0.02:
            return None
        return head.decode("utf-16-be" if even > odd else "utf-16-le", "ignore")
    odd_bytes = sum(byte < 32 and byte not in b"\t\n\r\f\x00\x1a\x1b" for byte in head)
    return None if odd_bytes > len(head) // 20 else head.decode("latin-1")


def check_promise(upload: Upload) -> None:
    """Refuse a file that is not what its name says. Raises Problem file_type."""
    promise = _PROMISES.get(upload.name.rpartition(".")[2].lower())
    if promise is None:
        return
    noun, types = promise
    if upload.type not in types:
        hint = " Save the sheet as CSV." if noun == "CSV" and upload.type == ZIP else ""
        if noun in ("Excel", "Word"):
            hint = " One with a password cannot be read: save it without."
        article = "an" if noun in ("Excel", "HTML") else "a"
        raise Problem("file_type", detail=f"This is not {article} {noun} file.{hint}")
