"""Serve pages, API and live sockets: one process, as many as you like behind a proxy."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from config.plain import PlainCommand
from config.serve import serve


class Command(PlainCommand):
    """Start the web server."""

    help = "Start the web server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take address and port."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until stopped."""
        for name in settings.UNKNOWN_SETTINGS:
            self.stderr.write(f"{name} is not a setting of Headway; see docs/settings.md.", str)
        serve(options["host"], options["port"])
