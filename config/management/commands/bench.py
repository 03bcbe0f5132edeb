"""Measure Headway beside limits and peers, in one run, on throw-away services."""

import json
import os
import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from config.plain import PlainCommand

NAMES = ("engine", "live", "inbox", "imports", "companies", "documents", "articles")


class Command(PlainCommand):
    """`bench [NAME ...] [--json]`."""

    help = "Print measured figures as ratios against a limit or a peer of the same run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what to measure."""
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
        parser.add_argument("--json", action="store_true", help="one JSON line a figure, nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the benchmarks as a process of their own, with services of their own."""
        from tests.services import Services  # only where the development packages are installed

        unknown = [name for name in options["names"] if name not in NAMES]
        if unknown:
            raise CommandError(f"No benchmark {unknown[0]}. Known: {', '.join(NAMES)}.")
        for name in ("DATABASE_URL", "REDIS_URL"):  # never somebody's real data
            os.environ.pop(name, None)
        services = Services()
        try:
            services.start()
            env = {**os.environ, "HEADWAY_PROFILE": "test", "HEADWAY_EXTRA_APPS": "tests.demo"}
            for name in options["names"] or NAMES:
                self.measure(name, env, as_json=options["json"])
        finally:
            services.stop()

    def measure(self, name: str, env: dict[str, str], *, as_json: bool) -> None:
        """Print the figures of one benchmark as they come."""
        child = subprocess.Popen(
            [sys.executable, "-m", f"tests.benchmarks.{name}"], env=env, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for line in child.stdout:
            if not line.startswith("{"):
                continue
            if as_json:
                self.stdout.write(line.rstrip())
                continue
            figure = json.loads(line)
            ratio = "" if figure["ratio"] is None else f"{figure['ratio']:.2f} x {figure['against']}"
            measured = f"{figure['name']:28} {figure['value']:10.3f} {figure['unit']:26}"
            self.stdout.write(f"{measured} {ratio}  (target: {figure['target']})")
        if child.wait():
            raise CommandError(f"The benchmark {name} ended with {child.returncode}.")
