"""Documents are read in a small process of their own, within limits, and what cannot be read says why."""

import subprocess
import sys

import pytest

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
