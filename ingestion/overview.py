"""What operators look at first: how much is done, what waits, who works, what is paused, and what fails why.

Everything is read from rows that are there anyway, in a fixed number of queries; every part has a limit.
"""

import zlib
from collections import Counter
from datetime import datetime
from typing import Any

from config.statements import execute
from ingestion import pauses, status
from ingestion.access import can_operate
from ingestion.clock import read_clock
from ingestion.lists import WITHIN, Filters
from ingestion.models import Pause, Process
from ingestion.source import QUEUES, find, registry

MINUTES = 60  # of the chart
CHART_HEIGHT = 60
LATELY = 5  # minutes over which the rate of a queue is said
MOST_CAUSES = 20
MOST_LIMITS = 20
MOST_PAUSES = 20

_ENDED = """
    SELECT floor(extract(epoch FROM now() - finished_at) / 60)::int, queue,
        count(*) FILTER (WHERE state <> 'failed'), count(*) FILTER (WHERE state = 'failed')
    FROM ingestion_job
    WHERE finished_at > now() - interval '60 minutes' AND state IN ('completed', 'partial', 'failed')
    GROUP BY 1, 2
"""
_RUNNING = (
    "SELECT queue, source, limit_key, count(*) FROM ingestion_job WHERE state = 'running' GROUP BY 1, 2, 3"
)
# The newest job's sentence stands for its cause.
_CAUSES = """
    SELECT source, coalesce(error->>'code', ''), count(*), max(finished_at),
        (array_agg(error->>'text' ORDER BY finished_at DESC))[1]
    FROM ingestion_job WHERE state = 'failed' AND finished_at > now() - %s
    GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %s
"""


def context(user: Any, within: str) -> dict[str, Any]:
    """Return what the page shows. within: over which time failures are counted, a key of `lists.WITHIN`."""
    within = within if within in WITHIN else "24h"
    now = read_clock()
    processes = status.seen(now)
    ended = execute(_ENDED)
    running = execute(_RUNNING)
    shown = {
        "throughput": _throughput(ended),
        "queues": _queues(ended, running, processes, now),
        "limits": _limits(running),
        "workers": status.workers_of(user, processes, now),
        "more_workers": status.more_workers(processes),
        "keepers": [
            {"name": f"{one.host} {one.pid}", "age": round(status.age_of(one, now))}
            for one in processes
            if one.role == "keeper" and status.age_of(one, now) < status.ALIVE
        ],
        "pauses": list(pauses.current().select_related("by")[:MOST_PAUSES]),
        "causes": _causes(within),
    }
    return {
        **shown,
        "now": now,
        "within": within,
        "windows": [(name, words) for name, (words, _) in WITHIN.items()],
        "operates": can_operate(user),
        "tag": f"{zlib.crc32(repr(_plain(shown)).encode()):x}",
    }


def _plain(shown: dict[str, Any]) -> Any:
    """Return what is shown as texts and numbers, which compare."""
    held: list[Pause] = shown["pauses"]
    workers = [{**one, "job": one["job"] and one["job"].pk} for one in shown["workers"]]
    return {**shown, "pauses": [(one.pk, one.until, one.reason) for one in held], "workers": workers}


def _throughput(ended: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Return what ended in each of the last 60 minutes, as bars: the oldest first, failures on top."""
    good, bad = Counter[int](), Counter[int]()
    for minute, _, well, failed in ended:
        good[minute] += well
        bad[minute] += failed
    highest = max((good[n] + bad[n] for n in range(MINUTES)), default=0)
    scale = CHART_HEIGHT / highest if highest else 0.0
    bars = []
    for place, n in enumerate(reversed(range(MINUTES))):
        well, failed = round(good[n] * scale), round(bad[n] * scale)
        for count, height, top, said in (
            (good[n], max(1, well), CHART_HEIGHT - max(1, well), "complete"),
            (bad[n], max(1, failed), CHART_HEIGHT - well - max(1, failed), "failed"),
        ):
            if count:
                bars.append({"x": 10 * place, "y": max(0, top), "height": height, "status": said})
    return {
        "bars": bars,
        "highest": highest,
        "good": sum(good.values()),
        "bad": sum(bad.values()),
        "width": 10 * MINUTES,
        "height": CHART_HEIGHT,
    }


def _queues(
    ended: list[tuple[Any, ...]], running: list[tuple[Any, ...]], processes: list[Process], now: datetime
) -> list[dict[str, Any]]:
    waiting = status.waiting()
    lately, runs, workers = Counter[str](), Counter[str](), Counter[str]()
    for minute, queue, well, failed in ended:
        lately[queue] += well + failed if minute < LATELY else 0
    for queue, _, _, count in running:
        runs[queue] += count
    for one in processes:
        workers[one.queue] += one.role == "worker" and status.age_of(one, now) < status.ALIVE
    return [
        {
            "name": name,
            "waiting": waiting.get(name, (0, None))[0],
            "oldest": waiting.get(name, (0, None))[1],
            "running": runs[name],
            "workers": workers[name],
            "per_minute": round(lately[name] / LATELY),
        }
        for name in QUEUES
    ]


def _limits(running: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Return the slots in use of each limit that anything uses, the fullest first."""
    of_source, rows = Counter[str](), []
    for _, kind, key, count in running:
        of_source[kind] += count
        source = find(kind)
        if key and source is not None:
            rows.append({"name": f"{source.label}: {key}", "used": count, "of": source.key_limit})
    for kind, count in of_source.items():
        source = find(kind)
        if source is not None:
            rows.append({"name": source.label, "used": count, "of": source.limit})
    rows.sort(key=lambda row: (-row["used"] / max(1, row["of"]), row["name"]))
    for row in rows:
        row["full"] = row["used"] >= row["of"]
        row["width"] = min(100, round(100 * row["used"] / max(1, row["of"])))
    free = sum(kind not in of_source for kind in registry())
    return {"rows": rows[:MOST_LIMITS], "more": max(0, len(rows) - MOST_LIMITS), "free": free}


def _causes(within: str) -> dict[str, Any]:
    found = execute(_CAUSES, [WITHIN[within][1], MOST_CAUSES + 1])
    rows = [
        {
            "source": kind,
            "label": source.label if (source := find(kind)) is not None else kind,
            "code": code,
            "count": count,
            "last": last,
            "text": text,
            "query": Filters(state="failed", source=kind, error=code, within=within).query(),
        }
        for kind, code, count, last, text in found[:MOST_CAUSES]
    ]
    return {"rows": rows, "more": len(found) > MOST_CAUSES}
