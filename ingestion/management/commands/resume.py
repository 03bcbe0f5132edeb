"""`resume SCOPE`: end a pause."""

from typing import Any

from django.core.management.base import CommandParser

from ingestion import maintenance, pauses
from ingestion.management.terminal import TerminalCommand, add_json, usage


class Command(TerminalCommand):
    """`resume SCOPE [--json]`."""

    help = "End a pause, and tell everybody. `pause` lists those there are."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the scope."""
        parser.add_argument("scope", metavar="SCOPE", help=pauses.FORMS)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """End the pause; one that is over already is fine."""
        scope = options["scope"]
        ended = maintenance.end(scope, None)
        if not ended:
            try:
                pauses.check(scope)
            except ValueError as error:
                usage(str(error))
        if options["as_json"]:
            self.say_json({"scope": scope, "ended": ended})
        else:
            self.say(f"Resumed {scope}." if ended else f"{scope} was not paused.")
