"""`broadcast TEXT`: tell everybody something; `broadcast --withdraw ID`: take it back."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ingestion.management.telling import add_told, check, tell_all
from ingestion.management.terminal import TerminalCommand, add_json, usage
from notifications import broadcasts


class Command(TerminalCommand):
    """`broadcast TEXT [--title T] [--link PATH] [--yes] [--json]`, `broadcast --withdraw ID`."""

    help = "Tell everybody something: one row for all, in every inbox."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what."""
        parser.add_argument("text", nargs="?", metavar="TEXT", help="what everybody is told")
        parser.add_argument("--withdraw", type=int, metavar="ID", help="take one out of all inboxes")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        add_told(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Tell everybody, or take it back."""
        if (options["text"] is None) == (options["withdraw"] is None):
            usage("Say what everybody is told, or which one to withdraw.")
        if options["withdraw"] is not None:
            if not broadcasts.withdraw(options["withdraw"]):
                raise CommandError(f"No broadcast {options['withdraw']} in inboxes.")
            self.say(f"Withdrew broadcast {options['withdraw']}.")
            return
        tell_all(self, check(options["text"], options), options)
