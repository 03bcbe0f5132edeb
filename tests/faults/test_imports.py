"""An import whose workers are killed again and again: exactly the right rows, and one history."""

import os
import random
import signal
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Sum

from ingestion import lifecycle
from ingestion.models import Job, State
from ingestion.sources.imports.models import Import, Unit
from tests.engine import Engine, described, ended, fresh, horse_of
from tests.faults.conftest import FULL, pass_time
from tests.imports.conftest import store
from tests.waiting import until

KILLS, ROWS = (20, 1_000_000) if FULL else (3, 100_000)
LONGEST = 0.3 if FULL else 0.02  # seconds into the work after the item that was waited for
LEFT = 10  # items that are not done by then
BAD = 1000  # every such row has an error
SEED = int(os.environ.get("HEADWAY_FAULT_SEED", "0")) or random.randrange(10**6)


def register(rows: int) -> bytes:
    """Return a file whose every row is told apart by its figures."""
    lines = (
        f'{n:08d},"Unit, {n}",{1990 + n % 30}-02-28,{n % 400:04d},{"x" if n % BAD == 1 else n},{n}.25\n'
        for n in range(rows)
    )
    header = "tax_ident,name,birth_date,physical_region_code,employees,turnover\n"
    return (header + "".join(lines)).encode()


def start(owner: User, rows: int) -> Job:
    params = {"file": store(owner, register(rows)), "review": "never"}
    return lifecycle.create("imports", params, owner=owner).job


def reached(job: Job, attempt: int, items: int) -> bool:
    """Say whether an attempt has done an item of its own and the job so many."""
    now = fresh(job)
    runs = now.state == State.RUNNING and now.attempt == attempt
    return runs and now.crashes == 0 and now.items_done >= items  # the count begins anew with each item done


def loaded_exactly(job: Job, rows: int, kills: int) -> None:
    """Assert that the register has each good row once, and the history tells each attempt once."""
    good = [n for n in range(rows) if n % BAD != 1]
    imported = Import.objects.get(job=job)
    told = f"seed {SEED}; {described(job)}"
    assert job.state == State.PARTIAL, told  # rows with errors were left out
    assert imported.rows.count() == imported.rows_total == rows, told
    assert imported.rows_bad == imported.rows.filter(errors__isnull=False).count() == rows - len(good), told
    units = Unit.objects.filter(loaded_by=imported)
    assert (imported.created, imported.updated, units.count(), Unit.objects.count()) == (
        len(good),
        0,
        len(good),
        len(good),
    ), told
    sums: dict[str, Any] = units.aggregate(Sum("employees"), Sum("turnover"))
    assert sums["employees__sum"] == sum(good), told
    assert sums["turnover__sum"] * 4 == sum(4 * n + 1 for n in good), told
    kinds = list(job.events.order_by("version").values_list("kind", flat=True))
    ends = [kind for kind in kinds if kind in ("completed", "failed", "partial", "cancelled")]
    assert (kinds.count("created"), kinds.count("crashed"), ends) == (1, kills, ["partial"]), told
    attempts = list(job.attempts.order_by("number").values_list("number", "outcome"))
    assert attempts == [*((n, "crashed") for n in range(1, kills + 1)), (kills + 1, "partial")], told
    assert set(job.items.values_list("state", flat=True)) == {"done"}, told
    assert job.items_done == job.items_total == job.items.count(), told


def test_an_import_killed_at_random_loads_exactly_the_right_rows(engine: Engine, owner: User) -> None:
    pick = random.Random(SEED)
    engine.keeper()
    worker = engine.worker()
    job = start(owner, ROWS)
    # Both steps have one item a span; which one a kill meets is chance, and so is where inside it.
    until(lambda: fresh(job).items_total, 120, "the first items")
    spans = len(Import.objects.get(job=job).spans)
    for kill, after in enumerate(sorted(pick.sample(range(1, 2 * spans - LEFT), KILLS)), 1):
        until(partial(reached, job, kill, after), 300, f"item {after} in attempt {kill}")
        horse = horse_of(worker)
        pass_time(pick.random() * LONGEST)
        os.kill(horse, signal.SIGKILL)
    loaded_exactly(ended(job, 600), ROWS, KILLS)


def test_without_one_transaction_for_rows_and_their_item_it_would_not(engine: Engine, owner: User) -> None:
    engine.keeper()
    point = "item.before_fence=exit*1@25"  # in the second step: its rows are written, the item is not done
    debug = {"HEADWAY_DEBUG_FAILPOINTS": "1", "HEADWAY_FAILPOINTS": point}
    engine.worker(HEADWAY_TEST_WITHOUT="one_transaction", **debug)
    job = ended(start(owner, 20_000))
    assert job.events.filter(kind="crashed").count() == 1
    with pytest.raises(AssertionError):
        loaded_exactly(job, 20_000, 1)
    assert Import.objects.get(job=job).updated


def test_with_it_the_same_end_changes_nothing(engine: Engine, owner: User) -> None:
    engine.keeper()
    engine.worker(HEADWAY_DEBUG_FAILPOINTS="1", HEADWAY_FAILPOINTS="item.before_fence=exit*1@25")
    job = ended(start(owner, 20_000))
    loaded_exactly(job, 20_000, 1)
