"""`stability`: is the data stable, now or as soon as it is?"""

import argparse
import time
from typing import Any

from django.core.management.base import CommandParser

from ingestion import stability
from ingestion.management import parameters
from ingestion.management.terminal import TerminalCommand, add_json, period

PROCESSING = 5  # exit code: something still works on it
LOOK_SECONDS = 0.5


class Command(TerminalCommand):
    """`stability [--source S | --object O] [--wait] [--timeout 10m] [--json]`."""

    help = (
        "Say whether all data is stable: nothing works on it. What waits for a person does not. "
        f"Exit code {PROCESSING}: it is not."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take of what, and how long to wait."""
        of = parser.add_mutually_exclusive_group()
        of.add_argument("--source", help="only the jobs of one source")
        of.add_argument(
            "--object", type=_object, help="only the jobs about one object, for example company:12"
        )
        parser.add_argument("--wait", action="store_true", help="return as soon as it is stable")
        parser.add_argument(
            "--timeout", type=period, metavar="TIME", help="10m, 2h: wait no longer; default: for ever"
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, wait if asked to, and say it."""
        of = {name: options[name] for name in ("source", "object") if options[name]}
        if "source" in of:
            parameters.find_source(of["source"])
        end = time.monotonic() + options["timeout"].total_seconds() if options["timeout"] else None
        stable = stability.is_stable(**of)
        while options["wait"] and not stable and (end is None or time.monotonic() < end):
            time.sleep(LOOK_SECONDS)
            stable = stability.is_stable(**of)
        if options["as_json"]:
            self.say_json({"stable": stable, **of})
        elif of:
            self.say("Stable" if stable else "Processing data")
        else:
            self.say("System Stable" if stable else "Processing Data")
        if not stable:
            raise SystemExit(PROCESSING)


def _object(text: str) -> str:
    kind, colon, key = text.partition(":")
    if not (kind and colon and key):
        raise argparse.ArgumentTypeError("not an object: say it as company:12")
    return text
