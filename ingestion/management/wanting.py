"""What the commands `follow` and `mute` share: a user's list, an entry more, an entry less."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandParser

from ingestion.management.terminal import TerminalCommand, add_json, find_user, usage
from notifications import abouts
from notifications.models import Follow, Mute


class WantingCommand(TerminalCommand):
    """`X USER [NAME] [--off] [--json]`: list, add one, or with --off take it away."""

    model: type[Follow] | type[Mute]
    plural: str  # the name of the list in JSON, as the API has it

    def begin(self, user: User, about: str) -> object:
        """Add one. Raises ValueError, Problem."""
        raise NotImplementedError

    def end(self, user_id: int, about: str) -> None:
        """Take one away."""
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        """Take whose, and what."""
        parser.add_argument("user", metavar="USER")
        parser.add_argument("about", nargs="?", metavar="NAME", help="job:<id>, source:<name> or an object")
        parser.add_argument("--off", action="store_true", help="no more")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the list if that is asked for, and show it."""
        user, about = find_user(options["user"]), options["about"]
        if options["off"] and not about:
            usage("Name what to take away.")
        if about:
            self._change(user, about, self._without if options["off"] else self.begin)
        mine = self.model.objects.filter(user=user).order_by("-pk").values_list("about", flat=True)
        found = abouts.describe(user, mine)
        if options["as_json"]:
            rows = [{"about": one.about, "title": one.title, "url": one.url} for one in found]
            self.say_json({self.plural: rows})
        elif found:
            self.say_table(["NAME", "TITLE"], [[one.about, one.title] for one in found])
        else:
            self.note("Nothing.")

    def _change(self, user: User, about: str, verb: Callable[[User, str], object]) -> None:
        try:
            verb(user, about)
        except ValueError as error:
            usage(str(error))

    def _without(self, user: User, about: str) -> None:
        if not self.model.objects.filter(user=user, about=about).exists():
            raise ValueError(f"{about} is not in the list.")
        self.end(user.pk, about)
