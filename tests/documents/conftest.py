"""Documents made easy for tests: bytes in, the ended job's document out.

Ours is imported inside: settings are not named yet here.
"""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from ingestion.sources.documents.models import Document, Workspace

Add = Callable[..., "Document"]


class Counting:
    """An encoder that counts words: as good as any to tell what is near, and made in no time."""

    id = "counting"

    def encode(self, texts: Any) -> Any:
        import numpy as np

        rows = np.zeros((len(texts), 64), dtype=np.float32)
        for n, text in enumerate(texts):
            for word in text.lower().split():
                rows[n, sum(word.encode()) % 64] += 1
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Have the default embedder made by words, so that a test need not load 32 MB."""
    from ingestion import embedders
    from ingestion.embedders import DEFAULT_EMBEDDER

    one = Counting()
    monkeypatch.setitem(embedders._loaded, DEFAULT_EMBEDDER, one)
    return one


def store(user: "User", data: bytes | str, name: str = "notes.txt") -> str:
    """Keep a file of a user; return the id that params take."""
    from ingestion import uploads
    from ingestion.source import get

    content = io.BytesIO(data.encode() if isinstance(data, str) else data)
    return str(uploads.store(user, name, content, source=get("documents")).pk)


@pytest.fixture
def workspace(alice: "User") -> "Workspace":
    """A workspace of alice that is ready."""
    from ingestion.sources.documents import workspaces

    return workspaces.make(alice, "Supplier risk", "", status="ready")


@pytest.fixture
def add(alice: "User", workspace: "Workspace", counting: Counting) -> Add:
    """Add a document to alice's workspace and process it in one attempt."""
    from ingestion.sources.documents.models import Document
    from ingestion.testing import run_inline

    def add(data: bytes | str, name: str = "notes.txt", user: Any = None) -> "Document":
        who = user or alice
        job = run_inline("documents", who, file=store(who, data, name), workspace=workspace.pk)
        return Document.objects.select_related("job", "workspace").get(job=job)

    return add
