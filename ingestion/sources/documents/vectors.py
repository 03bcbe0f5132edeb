"""Where vectors are kept and which are nearest: pgvector where the server has it, else bytes and numpy.

One interface; a row knows its workspace, document and generation, so a search needs no other table but the
document's, which says what is ready.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from django.db import connection

from config.statements import execute
from ingestion.sources.documents.models import Chunk, Vector

if TYPE_CHECKING:
    from ingestion.embedders import Vectors

EXACT = 15_000  # vectors of a workspace up to which each is compared: as quick as the index, and never wrong
EXACT_AT_LAST = 200_000  # and up to which so where the index finds too few, though that takes longer
KEPT = 4  # matrices that a process keeps for searches without pgvector
MAX_KEPT_ROWS = 200_000

_INSERT = """
    INSERT INTO documents_vector (chunk_id, document_id, workspace_id, generation, model, dim, embedding)
    SELECT chunk_id, %s, %s, %s, %s, %s, embedding::halfvec
    FROM unnest(%s::bigint[], %s::text[]) AS given(chunk_id, embedding)
"""
_READY = """
    JOIN documents_document d ON d.id = v.document_id AND d.status = 'ready' AND d.generation = v.generation
    WHERE v.workspace_id = %s AND v.model = %s AND v.dim = {dim}
"""
_DIM = """
    SELECT v.dim FROM documents_vector v
    JOIN documents_document d ON d.id = v.document_id AND d.status = 'ready' AND d.generation = v.generation
    WHERE v.workspace_id = %s AND v.model = %s AND v.document_id <> %s LIMIT 1
"""
_ALL = f"""
    WITH near AS MATERIALIZED (
        SELECT v.chunk_id, v.embedding::halfvec({{dim}}) <=> %s::halfvec({{dim}}) AS distance
        FROM documents_vector v {_READY}
    ) SELECT chunk_id, distance FROM near ORDER BY distance LIMIT %s
"""  # nosec B608  # our own words
_INDEXED = f"""
    SELECT v.chunk_id, v.embedding::halfvec({{dim}}) <=> %s::halfvec({{dim}}) AS distance
    FROM documents_vector v {_READY} ORDER BY distance LIMIT %s
"""  # nosec B608  # our own words


@cache
def has_pgvector() -> bool:
    """Say whether the table has pgvector's column. Asked once: migrations run before processes start."""
    found = execute(
        "SELECT 1 FROM pg_attribute WHERE attrelid = 'documents_vector'::regclass"
        " AND attname = 'embedding' AND NOT attisdropped",
        [],
    )
    return bool(found)


def add(chunks: Sequence[Chunk], document: Any, model: str, vectors: "Vectors") -> None:
    """Keep the vectors of chunks that were just written, in the current transaction."""
    if not chunks:
        return
    generation, dim = chunks[0].generation, int(vectors.shape[1])
    if has_pgvector():
        texts = ["[" + ",".join(f"{value:.5g}" for value in row) + "]" for row in vectors.tolist()]
        with connection.cursor() as cursor:
            cursor.execute(
                _INSERT,
                [
                    document.pk,
                    document.workspace_id,
                    generation,
                    model,
                    dim,
                    [one.pk for one in chunks],
                    texts,
                ],
            )
        return
    Vector.objects.bulk_create(
        Vector(
            chunk=chunk,
            document_id=document.pk,
            workspace_id=document.workspace_id,
            generation=generation,
            model=model,
            dim=dim,
            data=row.tobytes(),
        )
        for chunk, row in zip(chunks, vectors, strict=True)
    )


def dimension_of(document: Any, generation: int, model: str) -> int | None:
    """Return of how many numbers a model's vectors are in a workspace: in what is written of a document
    itself, else in what is found of others. None where there are none.
    """
    own = Vector.objects.filter(document=document, generation=generation, model=model)
    dim = own.values_list("dim", flat=True).first()
    if dim is None:
        found = execute(_DIM, [document.workspace_id, model, document.pk])
        dim = found[0][0] if found else None
    return dim


def nearest(
    workspace: Any, model: str, question: Any, most: int, documents: Sequence[int] = (), passages: int = 0
) -> list[tuple[int, float]]:
    """Return (chunk, distance) of the ready passages of a workspace that are nearest to a vector.

    documents: only of these. passages: how many there are to compare; few are compared one by one.
    """
    if not has_pgvector():
        return _in_memory(workspace, model, question, most, documents)
    dim = len(question)
    text = "[" + ",".join(f"{value:.5g}" for value in question.tolist()) + "]"
    few = passages <= EXACT
    exact, indexed = _ALL.format(dim=int(dim)), _INDEXED.format(dim=int(dim))
    values: list[Any] = [text, workspace.pk, model]
    if documents:
        own = "v.document_id = ANY(%s) AND v.dim ="
        exact, indexed = exact.replace("v.dim =", own), indexed.replace("v.dim =", own)
        values.append(list(documents))
    with connection.cursor() as cursor:
        if not few:
            # The index is asked for more until enough of what it finds is of this workspace, and ready.
            cursor.execute(
                "SELECT set_config('hnsw.iterative_scan', 'relaxed_order', false),"
                " set_config('hnsw.ef_search', %s, false)",
                [str(max(40, most))],
            )
        cursor.execute(exact if few else indexed, [*values, most])
        found = cursor.fetchall()
        if not few and len(found) < most and passages <= EXACT_AT_LAST:
            # The index gave up (`hnsw.max_scan_tuples`): too many of others are nearer.
            cursor.execute(exact, [*values, most])
            found = cursor.fetchall()
        return [(int(pk), float(distance)) for pk, distance in found]


_matrices: "OrderedDict[tuple[int, str], tuple[int, Any, Any, Any]]" = OrderedDict()
_lock = Lock()


def _in_memory(
    workspace: Any, model: str, question: Any, most: int, documents: Sequence[int]
) -> list[tuple[int, float]]:
    import numpy as np

    ids, of, matrix = _matrix(workspace, model)
    if not len(ids):
        return []
    scores = matrix @ question
    if documents:
        scores = np.where(np.isin(of, list(documents)), scores, -np.inf)
    places = np.argsort(-scores, kind="stable")[:most]
    return [(int(ids[n]), 1.0 - float(scores[n])) for n in places if scores[n] > -np.inf]


def _matrix(workspace: Any, model: str) -> tuple[Any, Any, Any]:
    """Return (chunk ids, document ids, vectors) of what is ready, read again when that has changed."""
    import numpy as np

    key = (workspace.pk, model)
    with _lock:
        kept = _matrices.get(key)
        if kept is not None and kept[0] == workspace.indexed:
            _matrices.move_to_end(key)
            return kept[1:]
    rows = execute(
        "SELECT v.chunk_id, v.document_id, v.data FROM documents_vector v JOIN documents_document d"
        " ON d.id = v.document_id AND d.status = 'ready' AND d.generation = v.generation"
        " WHERE v.workspace_id = %s AND v.model = %s AND v.data IS NOT NULL ORDER BY v.chunk_id",
        [workspace.pk, model],
    )
    ids = np.asarray([row[0] for row in rows], dtype=np.int64)
    of = np.asarray([row[1] for row in rows], dtype=np.int64)
    matrix = np.frombuffer(b"".join(bytes(row[2]) for row in rows), dtype=np.float32)
    found = (ids, of, matrix.reshape(len(rows), -1) if rows else matrix)
    with _lock:
        if len(rows) <= MAX_KEPT_ROWS:
            _matrices[key] = (workspace.indexed, *found)
            while len(_matrices) > KEPT:
                _matrices.popitem(last=False)
    return found
