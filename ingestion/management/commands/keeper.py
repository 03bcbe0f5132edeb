"""Run the keeper."""

from typing import Any

from django.core.management.base import CommandParser
from django.db import InterfaceError, OperationalError, connection

from ingestion import stability
from ingestion.keeper import Keeper
from ingestion.listener import Listener
from ingestion.management.terminal import TerminalCommand, check_migrations, check_sessions


class Command(TerminalCommand):
    """`keeper [--once]`."""

    by_hand = False
    help = "Rescue, wake, schedule, prune: the process that keeps promises. Several may run at once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take --once."""
        parser.add_argument("--once", action="store_true", help="do every duty once and end")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        """Keep promises until told to stop."""
        try:
            check_migrations()
            check_sessions()
        except (OperationalError, InterfaceError):
            connection.close()  # it may be away when we start: `run` waits for it
            if once:
                raise
        keeper = Keeper()
        if once:
            keeper.once()
            keeper.courier.wait()
        else:
            listener = Listener(stability.look)
            listener.start()
            keeper.run()
            listener.stop()
