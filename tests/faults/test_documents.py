"""Documents whose workers are killed in each step: ready in the end, with each passage once."""

import os
import random
import signal

from django.contrib.auth.models import User

from ingestion import lifecycle
from ingestion.models import Job, JobItem, State
from ingestion.sources.documents import workspaces
from ingestion.sources.documents.chunks import pieces
from ingestion.sources.documents.models import Chunk, Document, Vector
from tests.documents.conftest import store
from tests.engine import Engine, described, ended, fresh, horses
from tests.faults.conftest import FULL, pass_time, rounds
from tests.waiting import until

ROUNDS = 20 if FULL else 3
STEPS = ("embed", "index", "parse", "chunk")
SENTENCES = 2500  # a few seconds of work
LONGEST = 0.4  # seconds into a step
SEED = int(os.environ.get("HEADWAY_FAULT_SEED", "0")) or random.randrange(10**6)


def text_of(number: int) -> str:
    return "".join(f"Sentence {n} of document {number} tells of cobalt.\n" for n in range(SENTENCES))


def reached(job: Job, step: str) -> bool:
    """Say whether a job works on a step or is past it; before the index, whether it is nearly there."""
    if fresh(job).is_final:
        return True
    if step == "index":
        items = JobItem.objects.filter(job=job.pk, step="embed")
        return items.exists() and items.exclude(state="done").count() <= 2
    return Document.objects.filter(job=job.pk, stage=step).exists()


def test_a_worker_killed_in_any_step_leaves_each_passage_once(engine: Engine, owner: User) -> None:
    pick = random.Random(SEED)
    engine.keeper()
    worker = engine.worker()
    workspace = workspaces.make(owner, "Risk", "", status="ready")
    killed: list[str] = []
    for n in rounds(ROUNDS):
        step, text = STEPS[n % len(STEPS)], text_of(n)
        params = {"file": store(owner, text, f"{n}.txt"), "workspace": workspace.pk}
        job = lifecycle.create("documents", params, owner=owner).job
        until(lambda job=job, step=step: reached(job, step), 120, f"{step} of round {n}")
        if step in ("embed", "parse"):
            pass_time(pick.random() * LONGEST)
        kills = 0
        for pid in horses(worker.pid)[:1]:
            if not fresh(job).is_final:
                os.kill(pid, signal.SIGKILL)
                killed.append(step)
                kills = 1
        job = ended(job, 120)
        told = f"seed {SEED}, round {n}, {step}; {described(job)}"
        document = Document.objects.get(job=job)
        expected = list(pieces(text.strip(), 1000, 200))
        chunks = Chunk.objects.filter(document=document).order_by("ordinal")
        assert (job.state, document.status, document.error) == (State.COMPLETED, "ready", ""), told
        assert list(chunks.values_list("text", flat=True)) == expected, told
        assert {one.generation for one in chunks} == {document.generation}, told
        assert Vector.objects.filter(document=document).count() == document.chunk_count == len(expected), told
        assert job.attempts.count() in (1, 1 + kills), told
    assert "embed" in killed and len(killed) >= ROUNDS // 2, f"seed {SEED}: {killed}"
