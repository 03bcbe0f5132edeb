"""Documents made for tests, byte by byte: good ones and such as nobody should make."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence

from pypdf import PdfReader, PdfWriter

FONT = b"<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def raw_pdf(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """Return a PDF of these objects; the first is its catalogue."""
    out, places = b"%PDF-1.4\n", []
    for n, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (n, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n" % size
        + table
        + b"trailer\n<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF" % (size, trailer, len(out))
    )


def stream(content: bytes) -> bytes:
    """Return a compressed stream object."""
    data = zlib.compress(content, 9)
    return b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(data), data)


def pdf(pages: Sequence[str | bytes], catalogue: bytes = b"", info: bytes = b"", page: bytes = b"") -> bytes:
    """Return a PDF of these pages: their words, or the bytes of their content.

    catalogue, info, page: more entries of those dictionaries. info becomes the last object.
    """
    kids = b" ".join(b"%d 0 R" % (3 + 2 * n) for n in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R%b>>" % catalogue,
        b"<</Type/Pages/Count %d/Kids[%b]>>" % (len(pages), kids),
    ]
    for n, content in enumerate(pages):
        if isinstance(content, str):
            content = b"BT /F1 12 Tf 72 700 Td (%b) Tj ET" % content.encode("latin-1")
        own = b"" if b"/MediaBox" in page else b"/MediaBox[0 0 612 792]"
        objects += [
            b"<</Type/Page/Parent 2 0 R/Contents %d 0 R/Resources%b%b%b>>" % (4 + 2 * n, FONT, own, page),
            stream(content),
        ]
    if info:
        objects.append(b"<<%b>>" % info)
        return raw_pdf(objects, b"/Info %d 0 R" % len(objects))
    return raw_pdf(objects)


def locked(data: bytes) -> bytes:
    """Return a PDF that opens with a password only."""
    writer = PdfWriter(PdfReader(io.BytesIO(data)))
    writer.encrypt("secret", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def picture_pdf(stamp: str) -> bytes:
    """Return a PDF whose page is a picture with a few letters stamped on it."""
    content = b"q 612 0 0 792 0 0 cm /Im1 Do Q BT /F1 9 Tf 500 20 Td (%b) Tj ET" % stamp.encode()
    picture = (
        b"<</Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8/Length 1>>"
    )
    font = b"/Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
    return raw_pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
            b"/Resources<<%b/XObject<</Im1 5 0 R>>>>>>" % font,
            stream(content),
            picture + b"stream\n0\nendstream",
        ]
    )


def paragraphs(*texts: str) -> str:
    """Return the body of a Word document."""
    return "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in texts)


def docx(body: str, parts: Mapping[str, str | bytes] | None = None, before: str = "") -> bytes:
    """Return a Word document. parts: further ones by name. before: what stands before its root element."""
    document = f'<?xml version="1.0"?>{before}<w:document {_W}><w:body>{body}</w:body></w:document>'
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", document)
        for name, data in (parts or {}).items():
            archive.writestr(name, data)
    return kept.getvalue()
