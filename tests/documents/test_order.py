"""Whatever comes late, twice or in another order: a document's status goes the ways that it may, no other."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.models import Job
from ingestion.sources.documents.models import Document, DocumentStatus, Workspace
from ingestion.sources.documents.results import Ok
from ingestion.sources.documents.statuses import DocumentChange, service

pytestmark = pytest.mark.django_db

STAGES = ("parse", "chunk", "embed", "index")
MADE = {"generation": 1, "chunk_count": 3}
# Written down once more, by hand: what a person may see become what.
MAY_FOLLOW = {
    ("pending", "processing"),
    ("pending", "failed"),
    ("processing", "ready"),
    ("processing", "failed"),
    ("failed", "pending"),
}
Word = tuple[int, str, str]  # which job, what it says, in which step


@st.composite
def deliveries(draw: Any) -> list[Word]:
    """Draw what two jobs say of a document, some of it twice, in any order."""
    said: list[Word] = []
    for job in (0, 1):
        said += [(job, "processing", stage) for stage in STAGES]
        said.append((job, draw(st.sampled_from(["ready", "failed"])), ""))
    said += draw(st.lists(st.sampled_from(said), max_size=6))
    # The second job begins somewhere: the first has no word from then on.
    return list(draw(st.permutations([*said, (1, "begin", "")])))


@pytest.fixture
def document(alice: User) -> Document:
    workspace = Workspace.objects.create(name="Risk", created_by=alice, status="ready")
    return Document.objects.create(workspace=workspace, name="a.txt", size=1, sha256="0" * 64)


@pytest.mark.seed("S3.1")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=deliveries())
def test_no_order_of_deliveries_breaks_the_order_of_a_status(words: list[Word], document: Document) -> None:
    with transaction.atomic():
        jobs = [_job(), _job()]
        Document.objects.filter(pk=document.pk).update(job=jobs[0])
        current, ended = 0, [False, False]
        seen = Document.objects.get(pk=document.pk)
        for job, status, stage in words:
            if status == "begin":
                Document.objects.filter(pk=document.pk).update(job=jobs[1])
                service.update_document_status(document.pk, DocumentChange(DocumentStatus.PENDING))
                current = 1
            values = {"stage": stage} if stage else MADE if status == "ready" else {}
            done = status == "begin" or isinstance(
                service.update_document_status(
                    document.pk,
                    DocumentChange(DocumentStatus(status), error="Damaged.", job=jobs[job], values=values),
                ),
                Ok,
            )
            now = Document.objects.get(pk=document.pk)
            if now.status != seen.status and status != "begin":
                assert (seen.status, now.status) in MAY_FOLLOW, words
            if done and status != "begin":
                # A job that was replaced has no word, and one that has ended changes nothing any more.
                assert job == current and (not ended[job] or status == seen.status), words
                ended[job] = ended[job] or status in ("ready", "failed")
            else:
                assert status == "begin" or (now == seen and now.status == seen.status), words
            assert bool(now.error) == (now.status == "failed")
            assert now.status != "ready" or now.chunk_count == 3
            seen = now
        transaction.set_rollback(True)


def _job() -> UUID:
    return Job.objects.create(id=uuid4(), source="documents", title="Process a.txt").pk
