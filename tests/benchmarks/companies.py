"""A company's ingestion beside the same fetch, parse and store in a plain script: `./run bench companies`.

Both ask one stand-in of the SEC, as often as they like: five reports of the size of a large company's, and
its figures. What the engine adds is what is left: the claim, the fork, steps, items, reports of progress,
the outcome and what is told of it.
"""

import gzip
import json
import subprocess
import sys
import time
from typing import Any

import django

from tests.benchmarks.figures import Figure, p50
from tests.benchmarks.workers import idle_worker

TURNS = 5
YEARS = 5
MOST_SHARE, MOST_SECONDS = 0.15, 0.5
PARAGRAPHS = 5_000  # of about 300 bytes: 1.5 MB, as Apple's of 2024
CONCEPTS, ENTRIES = 400, 40
OURS = {"ours": 0, "plain": 1000}  # added to the number of a turn: companies of their own
_CONTACT = "Example Org admin@example.org"


def main() -> None:
    """Measure and print."""
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from tests.companies.standin import Standin

    call_command("migrate", verbosity=0)
    User.objects.create_superuser("bench")
    sec = Standin()
    fill(sec)
    took: dict[str, list[float]] = {"ours": [], "plain": []}
    try:
        for turn in range(1, TURNS + 1):
            for whose, times in took.items():
                times.append(measured(whose, turn + OURS[whose], sec.url))
    finally:
        sec.stop()
    ours, plain = p50(took["ours"]), p50(took["plain"])
    say(ours, plain)


def say(ours: float, plain: float) -> None:
    """Print how long both took, and what the engine adds."""
    most = plain * MOST_SHARE + MOST_SECONDS
    against = f"the same fetch, parse and store in a plain script, same run ({plain:.2f} s)"
    target = f"at most {MOST_SHARE:.0%} and {MOST_SECONDS} s on top: {plain + most:.2f} s"
    Figure("companies.ingestion", ours, "s p50", ours / plain, against, target).say()
    left = f"of {most:.2f} s that it may add"
    Figure("companies.engine_share", ours - plain, "s added", (ours - plain) / most, left, "at most 1").say()


def fill(sec: Any) -> None:
    """Put companies with five long reports and many figures; packed once, as a server's cache would."""
    from tests.companies.standin import FACTS, document_path

    ciks = [turn + first for turn in range(1, TURNS + 1) for first in OURS.values()]
    sec.tickers(*((f"CO{cik}", cik) for cik in ciks))
    page = gzip.compress(document().encode(), 6)
    for cik in ciks:
        filings = [("10-K", f"{2025 - n}-02-20", f"{2024 - n}-12-31") for n in range(YEARS)]
        for accession in (accessions := sec.company(cik, f"CO{cik}", *filings)):
            path, packed = document_path(cik, accession), {"Content-Encoding": "gzip"}
            sec.put(path, page, type="text/html", headers=packed, packed=False)
        sec.put(FACTS.format(cik), figures(accessions))


def document() -> str:
    """Return a report as filers write it today: inline XBRL, most of its bytes markup."""
    line = (
        '<div style="margin-top:9pt;text-align:justify"><span style="font-family:Helvetica;font-size:9pt">'
        'In year {n} we sold <ix:nonFraction contextRef="c-{n}" name="us-gaap:Revenues" scale="6"'
        ' unitRef="usd">{n}</ix:nonFraction> lanterns to the ferries of the sound.</span></div>\n'
    )
    items = ("1. Business", "1A. Risk Factors", "7. Discussion", "8. Statements", "9A. Controls")
    parts = [f"<p>Item {item} {n}</p>" for n, item in enumerate(items)]
    each = PARAGRAPHS // len(items)
    for item in items:
        parts += [f"<p>Item {item}</p>\n", *(line.format(n=n) for n in range(each))]
    return f"<html><body><ix:header><ix:hidden>x</ix:hidden></ix:header>{''.join(parts)}</body></html>"


def figures(accessions: list[str]) -> dict[str, Any]:
    """Return as many figures as a large company has, of which these filings say some."""
    entries = [
        {
            "start": f"{2024 - n % 20}-01-01",
            "end": f"{2024 - n % 20}-12-31",
            "val": n * 1000,
            "accn": accessions[n] if n < len(accessions) else f"0000000000-00-{n:06}",
            "form": "10-K",
        }
        for n in range(ENTRIES)
    ]
    return {"facts": {"us-gaap": {f"Concept{n}": {"units": {"USD": entries}} for n in range(CONCEPTS)}}}


def measured(whose: str, cik: int, url: str) -> float:
    """Return the seconds that one ingestion takes in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.companies", whose, str(cik), url],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(json.loads(done.stdout.strip().splitlines()[-1])["seconds"])


def one(whose: str, cik: int, url: str) -> None:
    """Ingest a company and print how long that took."""
    django.setup()
    from django.conf import settings

    from ingestion.sources.companies import tickers
    from ingestion.sources.companies.client import Sec
    from ingestion.sources.companies.models import Company, Filing
    from tests.asking import Job

    settings.SEC_WWW_URL = settings.SEC_DATA_URL = url
    settings.SEC_CONTACT, settings.SEC_PER_SECOND = _CONTACT, 1000
    with Sec(Job()) as asking:  # type: ignore[arg-type]
        tickers.find_cik(asking, f"CO{cik}")  # the list is read once a day, not once a job
    seconds = {"ours": by_the_engine, "plain": by_a_script}[whose](f"CO{cik}")
    company = Company.objects.get(cik=cik)
    stored = company.filings.filter(status=Filing.Status.COMPLETE).count()
    if (stored, company.facts.count()) != (YEARS, YEARS * CONCEPTS):
        raise SystemExit(f"{whose} stored {stored} filings and {company.facts.count()} figures")
    sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")


def by_the_engine(ticker: str) -> float:
    """Return the seconds from starting a job to its end, with a worker that waits for one."""
    from django.contrib.auth.models import User

    from ingestion import lifecycle

    worker = idle_worker()
    owner = User.objects.get(username="bench")
    began = time.monotonic()
    lifecycle.create("companies", {"ticker": ticker, "years": YEARS}, owner=owner)
    worker.work(burst=True, logging_level="WARNING")
    return time.monotonic() - began


def by_a_script(ticker: str) -> float:
    """Return the seconds that the source's own functions take one after the other."""
    from django.db import transaction

    from ingestion.sources.companies import facts, source, storing
    from ingestion.sources.companies.client import Sec
    from ingestion.sources.companies.models import Company
    from tests.asking import Job

    job: Any = Job()
    began = time.monotonic()
    with Sec(job) as sec:
        found = source.look_up(job, sec, source.Params(ticker=ticker, years=YEARS))
        company = Company.objects.get(pk=found["company"])
        for filing in storing.in_order(found["filings"]):
            text = source.read_text(sec, company.cik, filing)
            with transaction.atomic():
                storing.save_text(text)
        known = list(company.filings.values_list("accession", flat=True))
        told = facts.parse(sec.facts(company.cik), known)
        with transaction.atomic():
            facts.replace(company, known, told)
    return time.monotonic() - began


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    else:
        main()
