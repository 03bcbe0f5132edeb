"""Breaks one thing after the other, at random, and mends what a deployment would mend by itself."""

import os
import random
import signal
import subprocess
from collections.abc import Callable

from django.db import connection

from ingestion import queues
from tests.engine import Engine, horses
from tests.site import Site

LATENCY = 0.3  # seconds, each way


class Nemesis:
    """What may break: workers, keepers, the web process behind the front, its ways to clients and services.

    What lasts (a frozen worker, a slow line, a Redis that refuses) lasts until the next strike.
    """

    def __init__(
        self, site: Site, engine: Engine, chance: random.Random, *, workers: int, keepers: int
    ) -> None:
        self.site = site
        self.engine = engine
        self.chance = chance
        self.workers = [engine.worker() for _ in range(workers)]
        self.keepers = [engine.keeper() for _ in range(keepers)]
        self.done: list[str] = []
        self._frozen: list[int] = []
        strikes: list[Callable[[], None]] = [
            self.kill_horse,
            self.kill_worker,
            self.stop_worker,
            self.freeze_worker,
            self.kill_keeper,
            self.kill_web,
            self.replace_web,
            self.cut_clients,
            self.slow_clients,
            self.refuse_redis,
            self.flush_redis,
            self.cut_database,
            self.end_sessions,
        ]
        self.strikes = {strike.__name__: strike for strike in strikes}

    def strike(self, name: str = "") -> None:
        """Mend what lasted, then break this, or something at random."""
        self.mend()
        name = name or self.chance.choice(list(self.strikes))
        self.done.append(name)
        self.strikes[name]()

    def mend(self) -> None:
        """End what lasts, and start what ended, as a supervisor does."""
        for pid in self._frozen:
            _signal(pid, signal.SIGCONT)
        self._frozen = []
        for proxy in (self.site.front, self.site.redis):
            proxy.heal()
            proxy.allow()
        self.workers = [self._alive(child, "worker", "--queue", "default") for child in self.workers]
        self.keepers = [self._alive(child, "keeper") for child in self.keepers]

    def _alive(self, child: "subprocess.Popen[bytes]", *command: str) -> "subprocess.Popen[bytes]":
        return child if child.poll() is None else self.engine.start(*command)

    # --- what breaks

    def kill_horse(self) -> None:
        """Kill a work-horse, where there is one now."""
        found = [pid for worker in self.workers for pid in horses(worker.pid)]
        if found:
            _signal(self.chance.choice(found), signal.SIGKILL)

    def kill_worker(self) -> None:
        """Kill a worker, which takes its work-horse along."""
        self.engine.kill(self.chance.choice(self.workers))

    def stop_worker(self) -> None:
        """Stop a worker as a deployment does."""
        self.chance.choice(self.workers).send_signal(signal.SIGTERM)

    def freeze_worker(self) -> None:
        """Freeze a worker and its work-horse."""
        worker = self.chance.choice(self.workers)
        self._frozen = [worker.pid, *horses(worker.pid)]
        for pid in self._frozen:
            _signal(pid, signal.SIGSTOP)

    def kill_keeper(self) -> None:
        """Kill a keeper."""
        self.engine.kill(self.chance.choice(self.keepers))

    def kill_web(self) -> None:
        """Kill the web process that everybody is connected to; another takes its place."""
        old = self._next_web()
        self.site.engine.kill(old)

    def replace_web(self) -> None:
        """Replace the web process as a deployment does."""
        self._next_web().send_signal(signal.SIGTERM)

    def _next_web(self) -> "subprocess.Popen[bytes]":
        old = self.site.process
        self.site.front.target = ("127.0.0.1", self.site.web())
        return old

    def cut_clients(self) -> None:
        """Reset the connections of all clients."""
        self.site.front.cut()

    def slow_clients(self) -> None:
        """Let what clients say and hear take longer."""
        self.site.front.latency = LATENCY

    def refuse_redis(self) -> None:
        """Take Redis away from the web process."""
        self.site.redis.refuse()

    def flush_redis(self) -> None:
        """Let Redis forget everything."""
        queues._client().flushdb()

    def cut_database(self) -> None:
        """Reset the web process's connections to its database."""
        self.site.database.cut()

    def end_sessions(self) -> None:
        """End every session of the database but ours."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
