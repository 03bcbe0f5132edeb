"""Documents beside the bare parser and the bare encoder, and search by size: `./run bench documents`.

Vectors of the searched passages are drawn at random, their words by Zipf's law; questions are real.
HEADWAY_BENCH_CHUNKS: other sizes than 10,000 and 100,000, separated by blanks.
"""

import io
import math
import os
import random
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import django

from tests.benchmarks.figures import Figure, p50

SIZES = [int(one) for one in os.environ.get("HEADWAY_BENCH_CHUNKS", "10000 100000").split()]
PAGES = 240
QUESTIONS = 120
DIM = 512
OF_A_DOCUMENT = 200  # passages
BUILT_AFTER = ["chunk_by_terms", f"vector_nearest_{DIM}"]  # indexes that are slow to fill row by row
JOBS = 200_000
MOST_WORDS = 40_000
_SYLLABLES = (
    "ka",
    "lor",
    "min",
    "te",
    "vas",
    "ru",
    "bel",
    "on",
    "dis",
    "fa",
    "gra",
    "ho",
    "pen",
    "sti",
    "um",
)
_INSERT = """
    WITH made AS (
        INSERT INTO documents_chunk (document_id, workspace_id, generation, ordinal, page, heading, text)
        SELECT %s, %s, 1, g.n, 1 + g.n / 3, '', g.text
        FROM unnest(%s::int[], %s::text[]) AS g(n, text) RETURNING id
    ) INSERT INTO documents_vector (chunk_id, document_id, workspace_id, generation, model, dim, embedding)
    SELECT id, %s, %s, 1, %s, %s,
        (SELECT array_agg(random() - 0.5) FROM generate_series(1, %s) WHERE made.id > 0)::real[]::halfvec
    FROM made
"""


def main() -> None:
    """Measure everything and print it."""
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for figure in chain(ingestion(), searches(), jobs_of_an_object()):
        figure.say()


def words(pick: random.Random, count: int) -> list[str]:
    """Return made-up words by Zipf's law, without the fifty that come most: a search leaves those out."""
    names, weights = known_words()
    return pick.choices(names, cum_weights=weights, k=count)


@cache
def known_words() -> tuple[list[str], list[float]]:
    """Return all words, and how likely one of them, or of those before it, is."""
    numbers = range(50, MOST_WORDS)
    return [vocabulary(n) for n in numbers], [math.log((n + 1) / 50) for n in numbers]


def vocabulary(n: int) -> str:
    """Return the n-th word."""
    text = ""
    while n:
        n, rest = divmod(n, len(_SYLLABLES))
        text += _SYLLABLES[rest]
    return text or "a"


def ingestion() -> Iterator[Figure]:
    """One long PDF by a job, beside what its parser and its encoder take alone."""
    from django.contrib.auth.models import User
    from pypdf import PdfReader

    from ingestion import embedders, uploads
    from ingestion.source import get
    from ingestion.sources.documents import chunks, workspaces
    from ingestion.sources.documents.parsing.blocks import Block
    from ingestion.testing import run_inline
    from tests.documents.making import pdf

    pick = random.Random(5)
    pages = []
    for _ in range(PAGES):
        lines = b"".join(b"(%b) Tj T*\n" % " ".join(words(pick, 9)).encode() for _ in range(40))
        pages.append(b"BT /F1 10 Tf 12 TL 40 780 Td\n" + lines + b"ET")
    data = pdf(pages)
    owner, _ = User.objects.get_or_create(username="bench")
    workspace = workspaces.make(owner, "Bench", "", status="ready")
    encoder = embedders.get(embedders.DEFAULT_EMBEDDER)
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        Path(file.name).write_bytes(data)
        began = time.perf_counter()
        texts = [page.extract_text() for page in PdfReader(file.name).pages]
        parser = time.perf_counter() - began
    passages = chunks.cut([Block(text, n) for n, text in enumerate(texts, 1)], 1000, 200)
    began = time.perf_counter()
    for start in range(0, len(passages), embedders.BATCH):
        encoder.encode([one.text for one in passages[start : start + embedders.BATCH]])
    bare = time.perf_counter() - began
    upload = uploads.store(owner, "long.pdf", io.BytesIO(data), source=get("documents"))
    began = time.perf_counter()
    job = run_inline("documents", owner, file=str(upload.pk), workspace=workspace.pk)
    whole = time.perf_counter() - began
    if job.state != "completed":
        raise SystemExit(f"the job is {job.state}: {job.error}")
    took = {name: seconds(step) for name, step in job.steps.items()}
    against = f"pypdf alone, same run ({PAGES / parser:,.0f} pages/s)"
    yield Figure(
        "documents.pages", PAGES / took["parse"], "pages/s", parser / took["parse"], against, "at least 0.87"
    )
    against = f"the encoder alone, same run ({len(passages) / bare:,.0f} passages/s)"
    name, speed = "documents.passages", len(passages) / took["embed"]
    yield Figure(name, speed, "passages/s", bare / took["embed"], against, "at least 0.87")
    limit = parser + bare
    against = f"parser and encoder alone ({limit:.1f} s)"
    yield Figure("documents.whole", whole, "s", whole / limit, against, "at most 1.15")


def seconds(step: dict[str, Any]) -> float:
    """Return how long a step took."""
    from datetime import datetime

    begun, ended = (datetime.fromisoformat(step[name]) for name in ("started_at", "finished_at"))
    return (ended - begun).total_seconds()


def searches() -> Iterator[Figure]:
    """Search over workspaces of several sizes, all in one table."""
    from django.contrib.auth.models import User
    from django.db import connection

    from config.statements import execute
    from ingestion.sources.documents import search, vectors

    owner, _ = User.objects.get_or_create(username="bench")
    if not vectors.has_pgvector():
        raise SystemExit("search is measured with pgvector")
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE indexname = ANY(%s)", [BUILT_AFTER])
        indexes = dict(cursor.fetchall())
        cursor.execute("SET maintenance_work_mem = '1GB'")
        cursor.execute("SET statement_timeout = 0")
    for name in indexes:
        execute(f"DROP INDEX {name}")
    made = [(size, fill(owner, size)) for size in SIZES]
    for definition in indexes.values():
        execute(definition)
    execute("VACUUM ANALYZE documents_chunk, documents_vector, documents_document")
    smallest, pick = None, random.Random(3)
    for size, workspace in made:
        workspace.refresh_from_db()
        took = []
        for n in range(QUESTIONS):
            question = " ".join(words(pick, 2 + n % 6))
            began = time.perf_counter()
            found = search.search(workspace, question)
            took.append((time.perf_counter() - began) * 1000)
            if not found.hits:
                raise SystemExit(f"nothing was found for {question!r}")
        took = took[20:]  # caches are warm for people too
        p95 = sorted(took)[int(len(took) * 0.95)]
        smallest = smallest or p95
        name = f"documents.search_{size // 1000}k"
        against = f"the smallest; median {p50(took):.0f} ms"
        yield Figure(name, p95, "ms p95", p95 / smallest, against, "under 50 ms")


def fill(owner: Any, size: int) -> Any:
    """Return a new workspace with so many passages, whose vectors are drawn at random."""
    from config.statements import execute
    from ingestion.embedders import DEFAULT_EMBEDDER
    from ingestion.sources.documents import workspaces
    from ingestion.sources.documents.models import Document

    pick = random.Random(size)
    workspace = workspaces.make(owner, f"{size:,} passages", "", status="ready")
    for n in range(0, size, OF_A_DOCUMENT):
        document = Document.objects.create(
            workspace=workspace, name=f"{n}.txt", size=1, type="text/plain", sha256=f"{n:064x}",
            status="ready", generation=1, generations=1, chunk_count=OF_A_DOCUMENT, embedder=DEFAULT_EMBEDDER,
        )  # fmt: skip
        texts = [" ".join(words(pick, 110)) for _ in range(OF_A_DOCUMENT)]
        ids = [document.pk, workspace.pk]
        execute(_INSERT, [*ids, list(range(OF_A_DOCUMENT)), texts, *ids, DEFAULT_EMBEDDER, DIM, DIM])
    return workspace


def jobs_of_an_object() -> Iterator[Figure]:
    """What a member of workspaces sees of many jobs, with the index `job_of_object` and without."""
    from django.contrib.auth.models import User
    from django.db import connection

    from config.statements import execute
    from ingestion.access import visible_jobs
    from ingestion.models import Job
    from ingestion.sources.documents import members
    from ingestion.sources.documents.models import Workspace

    one = Job.objects.filter(source="documents").latest("pk")
    columns = [field.column for field in Job._meta.concrete_fields if not field.primary_key]
    listed = ", ".join(f'"{name}"' for name in columns)
    chosen = ", ".join(
        "'workspace:' || (1000 + n %% 5000)" if name == "object" else f'"{name}"' for name in columns
    )
    copy = (
        f"INSERT INTO ingestion_job (id, {listed}) SELECT gen_random_uuid(), {chosen}"
        " FROM ingestion_job, generate_series(1, %s) n WHERE id = %s"
    )
    execute("SET session_replication_role = replica")  # events and counts are of no interest here
    execute(copy, [JOBS, one.pk])
    execute("VACUUM ANALYZE ingestion_job")
    reader, _ = User.objects.get_or_create(username="reader")
    workspace = Workspace.objects.earliest("pk")
    members.add(workspace, reader, "viewer")

    def look() -> float:
        took = []
        for _ in range(15):
            began = time.perf_counter()
            list(visible_jobs(reader).order_by("-pk")[:50])
            list(Job.objects.filter(object="workspace:1007").order_by("-pk")[:1])
            took.append((time.perf_counter() - began) * 1000)
        return p50(took)

    def create() -> float:
        began = time.perf_counter()
        execute(copy, [20_000, one.pk])
        return time.perf_counter() - began

    with_it, cost = look(), create()
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'job_of_object'")
        (definition,) = cursor.fetchone()
    execute("DROP INDEX job_of_object")
    without, free = look(), create()
    execute(definition)
    against = f"without the index ({without:.1f} ms)"
    yield Figure("documents.jobs_seen", with_it, "ms", with_it / without, against, "below 0.5")
    against = f"without the index ({20_000 / free:,.0f} rows/s)"
    yield Figure("documents.jobs_made", 20_000 / cost, "rows/s", free / cost, against, "at least 0.8")


if __name__ == "__main__":
    main()
