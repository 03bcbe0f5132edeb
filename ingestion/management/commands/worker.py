"""Run one worker of one queue."""

import contextlib
import os
import sys
import time
from typing import Any

import redis
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from config.redis_fitness import unfit
from ingestion.management.terminal import TerminalCommand, check_migrations, check_sessions, usage
from ingestion.source import QUEUES

SAY_EVERY = 30.0  # seconds between two lines while Redis is away
LOOK_EVERY = 1.0
REDIS_SECONDS = 2.0  # for one look at it


class Command(TerminalCommand):
    """`worker --queue NAME`."""

    by_hand = False
    help = "Run one worker of one queue until SIGTERM; `up` starts them for you."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the queue."""
        parser.add_argument("--queue", default="default", help=f"one of {', '.join(QUEUES)}")
        parser.add_argument("--allow-root", action="store_true", help="run as root in production")

    def handle(self, *args: Any, queue: str, **options: Any) -> None:
        """Work until told to stop."""
        if not queue.strip():
            usage(f"usage: worker --queue NAME, one of {', '.join(QUEUES)}")
        if "," in queue:
            raise CommandError("One queue per worker. Start two workers.")
        if queue not in QUEUES:
            raise CommandError(f"No queue {queue}. Known: {', '.join(QUEUES)}.")
        if settings.PRODUCTION and os.geteuid() == 0 and not options["allow_root"]:
            raise CommandError("Do not run workers as root. (--allow-root if you must.)")
        check_migrations()
        check_sessions()
        from ingestion.worker import serve  # RQ is not needed to say that an argument is wrong

        self._await_redis()
        if not serve(queue):
            sys.exit(1)

    def _await_redis(self) -> None:
        from ingestion import queues  # as above

        said_at = -SAY_EVERY
        while trouble := queues.trouble():
            if trouble == "login":
                raise CommandError("Redis refused the login.")
            self._refuse_unfit()
            if time.monotonic() - said_at >= SAY_EVERY:
                said_at = time.monotonic()
                self.note("Redis is not reachable; trying again.")
            time.sleep(LOOK_EVERY)
        self._refuse_unfit()

    def _refuse_unfit(self) -> None:
        with contextlib.suppress(redis.RedisError):  # away: that is said elsewhere
            if why := unfit(settings.REDIS_URL, REDIS_SECONDS):
                raise CommandError(why)
