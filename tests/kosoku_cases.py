"""Run the Autobahn cases against a server: `kosoku_cases URL [CASE ...]`, one JSON line a case.

A process of its own: kosoku's threads may abort the interpreter that they end with.
"""

import asyncio
import json
import os
import sys

import kosoku

# 12 and 13 are compression, which we do not offer.
WITHOUT = ["12.*", "13.*"]
AT_ONCE = 4


async def run(url: str, cases: list[str]) -> None:
    """Run the cases and print what came out."""
    try:
        results = await kosoku.run_fuzzingclient(url, cases or None, WITHOUT, concurrency=AT_ONCE)
    except kosoku.FailureError as failed:
        results = failed.results
    for case in results:
        found = [case.behavior.value, case.behavior_close.value, case.result, case.result_close]
        sys.stdout.write(json.dumps({"case": case.case_id, "passed": case.passed, "found": found}) + "\n")


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2:]))
    sys.stdout.flush()
    os._exit(0)
