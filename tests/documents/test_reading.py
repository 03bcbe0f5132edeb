"""Documents are read in a small process of their own, within limits, and what cannot be read says why."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingestion.source import SourceError
from ingestion.sources.documents import reading
from tests.documents import odd_child
from tests.engine import ROOT


@pytest.mark.parametrize("kind", ["pdf", "docx", "html", "markdown", "text"])
def test_the_process_that_reads_loads_no_more_than_its_parser(kind: str) -> None:
    code = (
        "import sys\n"
        "from ingestion.sources.documents.parsing import child\n"
        f"child.parser_of({kind!r})\n"
        "print([name for name in ('django', 'pydantic', 'numpy', 'psycopg') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have a file read by a process that is odd in the way of a kind."""

    @contextmanager
    def there(path: str) -> Iterator[str]:
        yield path

    def read(kind: str) -> reading.Parsed:
        file = tmp_path / "file"
        file.write_bytes(b"x")
        return reading.read(str(file), kind, lambda done, pages: None, lambda: None)

    monkeypatch.setattr(reading, "_local", there)
    monkeypatch.setattr(reading, "MODULE", "tests.documents.odd_child")
    return read


def test_what_is_said_in_pieces_is_put_together(read: Any) -> None:
    said = {one.page: one.text for one in read("text").blocks}
    assert said == {n: f"{n} {odd_child.LONG}" for n in (1, 2)}


@pytest.mark.parametrize(
    ("kind", "code"), [("pdf", "pdf_limits"), ("markdown", "document_limits"), ("html", "document_damaged")]
)
def test_a_process_that_stays_without_a_word_is_ended_and_said_to_be_over_its_limits(
    kind: str, code: str, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "pdf":
        monkeypatch.setattr(reading, "SILENT_SECONDS", 0)
    if kind != "html":
        monkeypatch.setattr(reading, "LEAVING_SECONDS", 0.1)
    with pytest.raises(SourceError) as found:
        read(kind)
    assert found.value.code == code
