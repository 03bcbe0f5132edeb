"""Run the keeper."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from ingestion.keeper import Keeper


class Command(BaseCommand):
    help = "Rescue, wake, schedule, prune: the process that keeps promises. Several may run at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="do every duty once and end")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        keeper = Keeper()
        if once:
            keeper.once()
        else:
            keeper.run()
