"""Begin a new epoch: the last step of bringing a database back from a backup."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from config.plain import PlainCommand
from realtime import epoch


class Command(PlainCommand):
    """Make every version that a page or program holds worthless, so that each is told everything afresh."""

    help = "Tell every open page everything afresh. Needed after a database was restored from a backup."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the consent."""
        parser.add_argument("--yes", action="store_true", help="do it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the epoch and print it."""
        if not options["yes"]:
            raise CommandError(
                "This would make every open page and program fetch all it shows afresh, at once. Say --yes."
            )
        self.stdout.write(f"epoch {epoch.raise_from(epoch.current())}")
