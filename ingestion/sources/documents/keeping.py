"""How long passages are kept that nobody finds: as long as a retry may go on with what a job has written.

Those of a job that ended well go when what it made anew is found (`indexing.sweep`).
"""

from config.statements import execute
from ingestion.models import ItemState, Job, JobItem
from ingestion.retention import BATCH, kept
from ingestion.sources.documents import indexing
from ingestion.sources.documents.models import Chunk, Document

LOOKED_AT = 20  # leftovers for one look

# Nothing of a document on which something works, nor of a workspace whose documents follow other settings.
_LEFT = """
    SELECT d.id, g.n FROM documents_document d LEFT JOIN ingestion_job j ON j.id = d.job_id
    CROSS JOIN LATERAL generate_series(1, d.generations) g(n)
    WHERE d.generations > (d.generation IS NOT NULL)::int AND g.n IS DISTINCT FROM d.generation
        AND (j.id IS NULL OR j.finished_at < now() - %s)
        AND EXISTS (SELECT FROM documents_chunk c WHERE c.document_id = d.id AND c.generation = g.n)
        AND NOT EXISTS (
            SELECT FROM ingestion_job r WHERE r.source = 'document_refresh'
                AND r.state IN ('pending', 'running', 'waiting')
                AND (r.object IS NULL OR r.object = 'workspace:' || d.workspace_id)
        )
    LIMIT %s
"""


def forget(batches: int) -> int:
    """Remove passages that a failed job left long ago; return how many. batches: of BATCH passages."""
    left, gone = batches * BATCH, 0
    while gone < left and (found := execute(_LEFT, [kept("UPLOADS", 30), LOOKED_AT])):
        for document, generation in found:
            gone += indexing.drop(document, generation, left - gone)
    return gone


def has_what_it_wrote(job: Job, document: Document) -> bool:
    """Say whether the passages are kept that an ended job has written of a document, if any."""
    if not JobItem.objects.filter(job=job.pk, step="embed", state=ItemState.DONE).exists():
        return True
    return Chunk.objects.filter(document=document, generation=planned(job)).exists()


def is_over(job: Job, document: Document) -> bool:
    """Say whether a document was made anew since a job ended, which would bring back settings of before."""
    if document.generation is None:
        return False
    return document.job_id != job.pk or 0 < planned(job) < document.generation


def planned(job: Job) -> int:
    """Return the generation of passages that a job writes, 0 where it never came to that."""
    return int(job.memo.get("plan", {}).get("generation", 0))
