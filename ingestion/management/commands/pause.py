"""`pause SCOPE`: let nothing start for a while; without SCOPE, list what is paused."""

from typing import Any

from django.core.management.base import CommandParser

from ingestion import maintenance, pauses
from ingestion.management.terminal import TerminalCommand, add_json, find_user, moment, period, usage
from ingestion.models import Pause


class Command(TerminalCommand):
    """`pause [SCOPE] [--for 10m] [--reason TEXT] [--user NAME] [--json]`."""

    help = "Let nothing start in a scope, and tell everybody. Without a scope: list what is paused."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the scope and for how long."""
        parser.add_argument("scope", nargs="?", metavar="SCOPE", help=pauses.FORMS)
        parser.add_argument(
            "--for", dest="length", type=period, metavar="TIME", help="10m, 2h; default: until `resume`"
        )
        parser.add_argument("--reason", default="", metavar="TEXT", help="shown to people")
        parser.add_argument("--user", metavar="NAME", help="who does it")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Pause, or list."""
        if options["scope"] is None:
            self._list(as_json=options["as_json"])
            return
        by = find_user(options["user"]) if options["user"] else None
        try:
            made = maintenance.begin(options["scope"], by, length=options["length"], reason=options["reason"])
        except ValueError as error:
            usage(str(error))
        if options["as_json"]:
            self.say_json(_row(made))
        else:
            self.say(f"Paused {made.scope} until {moment(made.until) or '`resume`'}.")

    def _list(self, *, as_json: bool) -> None:
        rows = [_row(pause) for pause in pauses.current().select_related("by")]
        if as_json:
            self.say_json(rows)
        elif rows:
            self.say_table(["SCOPE", "UNTIL", "REASON"], [_cells(pause) for pause in pauses.current()])
        else:
            self.note("Nothing is paused.")


def _cells(pause: Pause) -> list[str]:
    return [pause.scope, moment(pause.until) or "resumed", pause.reason]


def _row(pause: Pause) -> dict[str, Any]:
    return {
        "scope": pause.scope,
        "until": pause.until,
        "reason": pause.reason,
        "by": pause.by.get_username() if pause.by else None,
    }
