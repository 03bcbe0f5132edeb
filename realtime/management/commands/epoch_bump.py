"""Begin a new epoch: the last step of bringing a database back from a backup."""

from typing import Any

from config.plain import PlainCommand
from realtime import epoch


class Command(PlainCommand):
    """Make every version that a page or program holds worthless, so that each is told everything afresh."""

    help = "Tell every open page everything afresh. Needed after a database was restored from a backup."

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the epoch and print it."""
        self.stdout.write(f"epoch {epoch.raise_from(epoch.current())}")
