"""`preferences USER`: what somebody gets over which channel; with TYPE CHANNEL on|off, choose."""

from typing import Any

from django.core.management.base import CommandParser

from ingestion.management.terminal import TerminalCommand, add_json, find_user, usage
from notifications import preferences
from notifications.models import Channel


class Command(TerminalCommand):
    """`preferences USER [TYPE CHANNEL on|off] [--json]`."""

    help = "Show what a user gets of each type over each channel, or choose it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take who, and what to choose."""
        parser.add_argument("user", metavar="USER")
        parser.add_argument("choice", nargs="*", metavar="TYPE CHANNEL on|off", help="all three, or none")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Choose, and show."""
        user = find_user(options["user"])
        if options["choice"]:
            self._choose(user.pk, options["choice"])
        rows = preferences.data(user.pk)
        if options["as_json"]:
            self.say_json(rows)
            return
        cells = [
            [row["type"], row["label"], *("on" if row["channels"][one] else "off" for one in Channel.values)]
            for row in rows
        ]
        self.say_table(["TYPE", "ABOUT", *(one.upper() for one in Channel.values)], cells)

    def _choose(self, user_id: int, choice: list[str]) -> None:
        if len(choice) != 3 or choice[2] not in ("on", "off"):
            usage("Name a type, a channel, and on or off.")
        try:
            preferences.choose(user_id, choice[0], choice[1], choice[2] == "on")
        except ValueError as error:
            usage(str(error))
