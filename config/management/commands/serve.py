"""Serve pages, API and live sockets: one process, as many as you like behind a proxy."""

import re
import socket
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from config.plain import PORT, PlainCommand
from config.serve import serve

_HOST = re.compile(r"[\w.:%-]{1,253}", re.ASCII)


class Command(PlainCommand):
    """Start the web server."""

    help = "Start the web server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take address and port."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=PORT, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until stopped."""
        for name in settings.UNKNOWN_SETTINGS:
            self.stderr.write(f"{name} is not a setting of Headway; see docs/settings.md.", str)
        host = options["host"]
        try:
            if not _HOST.fullmatch(host):
                raise UnicodeError
            socket.getaddrinfo(host, options["port"], type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:  # before the application is loaded
            raise CommandError(f"{host[:100]} is not an address of this machine.") from error
        serve(host, options["port"])
