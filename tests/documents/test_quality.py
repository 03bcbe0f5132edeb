"""How well a search finds: by meaning and words together better than by either alone."""

import pytest

from ingestion import embedders
from ingestion.sources.documents import indexing, search
from ingestion.sources.documents.chunks import Passage
from ingestion.sources.documents.models import Document, Workspace, WorkspaceRetrieval
from tests.documents.questions import DOCUMENTS, QUESTIONS

pytestmark = pytest.mark.django_db
RANKED = 10


def fill(workspace: Workspace, embedder: embedders.Embedder) -> None:
    """Put the documents into a workspace, as their jobs would."""
    passages = [Passage(0, text, None, "") for text in DOCUMENTS.values()]
    made = embedder.encode([indexing.said(one) for one in passages])
    for n, (name, passage) in enumerate(zip(DOCUMENTS, passages, strict=True)):
        document = Document.objects.create(
            workspace=workspace, name=name, size=1, type="text/plain", sha256=f"{n:064}",
            status="ready", generation=1, generations=1, chunk_count=1,
        )  # fmt: skip
        indexing.write(document, 1, embedder.id, [passage], made[n : n + 1])


def measured(workspace: Workspace, way: str) -> tuple[float, float]:
    """Return (share of questions whose document comes first, mean of 1 / its place among ten)."""
    first = reciprocal = 0.0
    for question, wanted in QUESTIONS:
        hits = search.search(workspace, question, RANKED, way=way).hits
        names = [hit.chunk.document.name for hit in hits]
        if wanted in names:
            reciprocal += 1 / (names.index(wanted) + 1)
            first += names[0] == wanted
    return first / len(QUESTIONS), reciprocal / len(QUESTIONS)


def test_the_questions_are_enough_and_each_document_is_asked_for() -> None:
    assert len(QUESTIONS) >= 60 and len(DOCUMENTS) >= 30
    assert {wanted for _, wanted in QUESTIONS} == set(DOCUMENTS)


@pytest.mark.parametrize("name", [embedders.DEFAULT_EMBEDDER, embedders.MINILM])
def test_both_together_find_better_than_either_alone(name: str, workspace: Workspace) -> None:
    if name not in dict(embedders.choices()):
        pytest.skip("the extra is not installed here")
    WorkspaceRetrieval.objects.update(embedder=name)
    workspace = Workspace.objects.select_related("retrieval").get(pk=workspace.pk)
    fill(workspace, embedders.get(name))
    found = {way: measured(workspace, way) for way in ("both", "vectors", "words")}
    for alone in ("vectors", "words"):
        assert found["both"][0] > found[alone][0] and found["both"][1] > found[alone][1], found
    assert found["both"][1] > 0.8, found
