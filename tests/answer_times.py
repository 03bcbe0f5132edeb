"""Ask a site for a user's jobs again and again, and print how many seconds each answer took.

`python -m tests.answer_times ADDRESS COOKIE`, until its input ends. In a process of its own: beside hundreds
of viewers in one interpreter it would measure how long they keep it from reading.
"""

import select
import sys
import time
from urllib.request import Request, urlopen

PAUSE = 0.05


def main(address: str, cookie: str) -> None:
    """Ask one request after another."""
    request = Request(f"http://{address}/api/jobs", headers={"Cookie": cookie})
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        began = time.monotonic()
        with urlopen(request, timeout=30) as answer:
            answer.read()
        print(time.monotonic() - began, flush=True)  # noqa: T201 - its result


if __name__ == "__main__":
    main(*sys.argv[1:])
