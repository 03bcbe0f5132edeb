"""Run one worker of one queue."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ingestion.source import QUEUES


class Command(BaseCommand):
    help = "Run one worker of one queue until SIGTERM; `up` starts them for you."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queue", default="default", help=f"one of {', '.join(QUEUES)}")

    def handle(self, *args: Any, queue: str, **options: Any) -> None:
        if "," in queue:
            raise CommandError("One queue per worker. Start two workers.")
        if queue not in QUEUES:
            raise CommandError(f"No queue {queue}. Known: {', '.join(QUEUES)}.")
        from ingestion.worker import serve  # RQ is not needed to say that an argument is wrong

        if not serve(queue):
            sys.exit(1)
