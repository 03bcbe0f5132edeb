"""`notify USER TEXT`: tell a user something; `--all`: everybody, as `broadcast` does."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ingestion.management.telling import add_told, check, tell_all
from ingestion.management.terminal import TerminalCommand, add_json, find_user, usage
from notifications import inbox


class Command(TerminalCommand):
    """`notify USER TEXT [--title T] [--type T] [--link PATH] [--json]`, `notify --all TEXT --yes`."""

    help = "Tell a user something, in their inbox and wherever they want to hear it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take whom and what."""
        parser.add_argument("words", nargs="+", metavar="USER TEXT", help="whom, and what they are told")
        parser.add_argument("--all", action="store_true", help="everybody: then there is no USER")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        add_told(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Tell."""
        words: list[str] = options["words"]
        if len(words) != (1 if options["all"] else 2):
            usage("Say whom and what: notify USER TEXT, or notify --all TEXT.")
        told = check(words[-1], options)
        if options["all"]:
            tell_all(self, told, options)
            return
        user = find_user(words[0])
        written = inbox.notify([user], told.type, told.title, text=told.text, url=told.url)
        if not written:
            raise CommandError(f"{user.get_username()} does not want to be told of {told.type}.")
        if options["as_json"]:
            self.say_json({"created": len(written), "broadcast": False, "id": written[0].id})
        else:
            self.say(f"Told {user.get_username()}.")
