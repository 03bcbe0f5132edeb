"""`inbox USER`: what a user was told, newest first."""

from typing import Any

from django.core.management.base import CommandParser

from ingestion.management.terminal import TerminalCommand, add_json, find_user, limit, moment
from notifications import listing
from notifications.entries import json_of
from notifications.listing import SHOWN, Filter

DEFAULT_LIMIT = 50


class Command(TerminalCommand):
    """`inbox USER [--view V] [--group G] [--limit N] [--json]`."""

    help = "List a user's notifications, the latest news first."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take whose, and which."""
        parser.add_argument("user", metavar="USER")
        parser.add_argument(
            "--view", choices=SHOWN, default="inbox", metavar="VIEW", help=f"one of {', '.join(SHOWN)}"
        )
        parser.add_argument("--group", default="", metavar="GROUP", help="of one group of types, as `Jobs`")
        parser.add_argument("--limit", type=limit, default=DEFAULT_LIMIT, metavar="N")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """List them."""
        user = find_user(options["user"])
        entries = listing.entries(user, Filter(options["view"], options["group"]), limit=options["limit"])
        unread = listing.unread_count(user)
        if options["as_json"]:
            self.say_json({"unread_count": unread, "notifications": [json_of(entry) for entry in entries]})
            return
        if entries:
            rows = [
                [moment(one.updated_at), "unread" if one.is_unread else "", one.level, one.title, one.text]
                for one in entries
            ]
            self.say_table(["TIME", "", "LEVEL", "TITLE", "TEXT"], rows)
        self.note(f"{unread:,} unread.")
