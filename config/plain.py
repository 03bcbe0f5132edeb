"""The ground of our commands: what a person can repair is one plain line, never the name of an exception."""

import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, handle_default_options
from django.db import connections

from config import audit


class PlainCommand(BaseCommand):
    """A command that refuses in one line."""

    requires_system_checks = ()  # they take a second, and `check` runs them
    by_hand = True  # what it does is written down as done by who has the command line

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command."""
        if not self.by_hand:
            return super().execute(*args, **options)
        with audit.asked_by(type(self).__module__.rpartition(".")[2]):
            return super().execute(*args, **options)

    def run_from_argv(self, argv: list[str]) -> None:
        """Run for a command line. Django's own would print the name of our exception before its text."""
        self._called_from_command_line = True
        options = vars(self.create_parser(argv[0], argv[1]).parse_args(argv[2:]))
        handle_default_options(Namespace(**options))
        try:
            self.execute(*options.pop("args", ()), **options)
        except CommandError as error:
            if options["traceback"]:
                raise
            self.stderr.write(printable(str(error)), str)
            sys.exit(error.returncode)
        finally:
            connections.close_all()


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a type of arguments: digits, from `least` to `most`. int() alone takes ten scripts and "1_0"."""

    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
            raise ArgumentTypeError(f"must be a whole number, {least}-{most}.")
        return int(text)

    return number


PORT = whole_number(0, 65_535)


def printable(text: str) -> str:
    """Return a text that cannot steer a terminal: titles and file names come from anywhere."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown.encode("utf-8", "backslashreplace").decode()
