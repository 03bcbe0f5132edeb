"""A process that does verbs in forks of itself, each of which may end anywhere: one JSON line in, one out.

In: {verb, job, token, staff, point | statement, after}. Out: the exit code of the fork.
"""

import json
import os
import subprocess
import sys
from typing import Any
from uuid import UUID


class Mover:
    """The process, from outside."""

    def __init__(self) -> None:
        from tests.engine import ROOT, environment  # has models, and this file is run before Django is set up

        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.mover"],
            cwd=ROOT,
            env=environment(HEADWAY_DEBUG_FAILPOINTS="1"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def perform(self, **task: Any) -> int:
        """Do a verb in a fork and return its exit code."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(task, default=str) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self.process.communicate()


def main() -> None:
    """Fork for each line."""
    import django

    django.setup()
    import tests.faults.lives  # noqa: F401  # before the forks, which else each load it

    for line in sys.stdin:
        child = os.fork()
        if not child:
            _perform(json.loads(line))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


def _perform(task: dict[str, Any]) -> None:
    from django.db import connection

    from ingestion import failpoints
    from tests.faults.lives import perform

    passed = 0

    def count(execute: Any, *args: Any) -> Any:
        nonlocal passed
        passed += 1
        if passed == task.get("statement") and not task["after"]:
            os._exit(failpoints.EXIT_CODE)
        result = execute(*args)
        if passed == task.get("statement"):
            os._exit(failpoints.EXIT_CODE)
        return result

    if task.get("point"):
        failpoints.activate(f"{task['point']}=exit")
    try:
        with connection.execute_wrapper(count):
            perform(task["verb"], UUID(task["job"]), UUID(task["token"]), task["staff"])
    except Exception:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
