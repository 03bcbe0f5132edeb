"""Run all tests: unit and integration, then the browser, then faults; one total at the end."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from threading import Lock

from defusedxml import ElementTree
from django.conf import settings
from django.core.management.base import BaseCommand

from config import fault_table

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
MACHINES = ("tests/ingestion/test_machine.py", "tests/ingestion/test_stability_machine.py")
HISTORIES = ("tests/realtime/test_reducer.py", "tests/browser/test_reducer.py")
FULL = {"HEADWAY_FAULTS": "full"}
NGINX = ("nginx", "/usr/sbin/nginx")
TOGETHER = ("-n", "2", "--dist", "worksteal")
# Most rounds wait, for a lease or for who comes back; with four of these two cores are too busy.
LANES = ("-n", "3", "--dist", "load", "--maxschedchunk", "1")
SLOWEST = "--durations=12"
BREAKS_SERVICES = "tests/faults/test_services.py"  # stops the PostgreSQL and Valkey of its own process
# They compare what people wait for with a promise, or the same in peace: with all rounds nothing runs beside.
# Small rounds have more time for all they promise.
WANT_PEACE = (
    "tests/faults/test_database.py::test_others_keep_their_rate_while_a_row_is_held",
    "tests/faults/test_live_readers.py",
    "tests/faults/test_live_restarts.py",
    "tests/faults/test_live_delivery.py::test_the_end_reaches_every_page_within_a_second",
    "tests/faults/test_live_delivery.py::test_the_end_reaches_every_page_within_two_seconds_when_every_hint_is_lost",
)
GIVES_WAY = ("nice", "-n", "10")  # it promises no times, and takes what the rounds leave of the machine
NO_TESTS = 5  # pytest's exit code when its arguments leave nothing to run
APART = (
    "tests/browser",
    "tests/faults",
)  # Playwright keeps an event loop in its main thread; faults want quiet
USAGE = """usage: ./run test [--faults] [--seeds] [pytest arguments]

--faults   all rounds of the crash tests, 300 lives of jobs, 5,000 histories of live clients, and nothing else
--seeds    only the tests that prove behaviours of the seed list
Paths among the pytest arguments run alone, in one process."""


class Command(BaseCommand):
    """Run pytest for each kind of test; pass its arguments through."""

    help = "Run all tests."

    def run_from_argv(self, argv: list[str]) -> None:
        """Read our two options by hand: everything else is pytest's."""
        arguments = argv[2:]
        if arguments[:1] in (["--help"], ["-h"]):
            self.stdout.write(USAGE)
            return
        faults, seeds = "--faults" in arguments, "--seeds" in arguments
        rest = [argument for argument in arguments if argument not in ("--faults", "--seeds")]
        rest += ["-m", "seed"] if seeds else []
        code = _Run(rest).all(faults=faults)
        if seeds:
            _say_unproved()
        sys.exit(code)


def _say_unproved() -> None:
    """Say which behaviours of the seed list no test names."""
    due = import_module("tests.seeds").DUE  # by name: the product's types are checked without the tests'
    missing = sorted(due - import_module("tests.test_seeds").marked())
    _say(f"{len(due)} behaviours, without a test: {', '.join(missing) or 'none'}")


class _Run:
    """The runs of pytest and what they found."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)
        self.passed = self.failed = self.skipped = 0
        self.broken = False
        self.counting = Lock()

    def all(self, *, faults: bool) -> int:
        """Run what was asked for. Return the exit code."""
        if faults:
            self._matrix()
        elif any(_is_path(argument) for argument in self.arguments):
            self._pytest("tests", self.arguments)
        else:
            apart = [f"--ignore={folder}" for folder in APART]
            if os.environ.get("CI") == "true":  # elsewhere nobody wants a web server started for a test
                _has_one_of(NGINX, "nginx-light")
            self._pytest("unit and integration", [*TOGETHER, *apart, *self.arguments, "tests"])
            if _has_one_of(CHROMIUM, "chromium"):
                self._pytest("browser", [*TOGETHER, *self.arguments, "tests/browser"])
            elif os.environ.get("CI") == "true":
                _say("FAILED: no Chromium, so the browser tests could not run")
                self.failed += 1
            else:
                _say("SKIPPED: no Chromium, so the browser tests did not run")
            self._small_faults()
        if self.skipped:
            _say(f"{self.skipped} skipped; the reasons are above")
        if self.broken and not self.failed:
            self.failed = 1  # pytest itself ended early
        _say(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0

    def _matrix(self) -> None:
        """Run all rounds of all faults, and say what each came to."""
        began = time.monotonic()
        rows = fault_table.faults(settings.BASE_DIR / "docs" / "promises.md")
        named = fault_table.places([test for row in rows for test in row.tests], settings.BASE_DIR / "tests")
        elsewhere = [one for one in named if not one.startswith(APART)]
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "record"
            env = FULL | {"HEADWAY_FAULT_RECORD": str(record)}
            with ThreadPoolExecutor(1) as beside:
                others = beside.submit(self._beside_the_matrix, elsewhere, env)
                apart = [f"--ignore={BREAKS_SERVICES}", *(f"--deselect={one}" for one in WANT_PEACE)]
                self._pytest("faults", [*LANES, SLOWEST, *self.arguments, *apart, "tests/faults"], env)
                others.result()
            self._pytest("faults that want peace", [SLOWEST, *self.arguments, *WANT_PEACE], env)
            _say(f"all rounds took {(time.monotonic() - began) / 60:.1f} min; an hour is the most they may")
            for line in fault_table.lines(rows, fault_table.read(record)):
                _say(line)

    def _beside_the_matrix(self, elsewhere: Sequence[str], env: dict[str, str]) -> None:
        """Run what has services of its own and is told when it has ended, so that no two runs' lines mix."""
        self._pytest("faults of services", [*self.arguments, BREAKS_SERVICES], env, aside=True)
        self._pytest("faults that need no process", [*self.arguments, *elsewhere], env, aside=True)
        for title, tests in (("lives of jobs", MACHINES), ("histories of clients", HISTORIES)):
            self._pytest(title, [*self.arguments, *tests], FULL, aside=True, before=GIVES_WAY)

    def _small_faults(self) -> None:
        with ThreadPoolExecutor(1) as beside:
            title, own = "faults of services, small rounds", [*self.arguments, BREAKS_SERVICES]
            services = beside.submit(self._pytest, title, own, aside=True)
            others = [f"--ignore={BREAKS_SERVICES}", "tests/faults"]
            self._pytest("faults, small rounds", [*LANES, *self.arguments, *others])
            services.result()

    def _pytest(
        self,
        title: str,
        arguments: Sequence[str],
        env: dict[str, str] | None = None,
        *,
        aside: bool = False,
        before: Sequence[str] = (),
    ) -> None:
        if not aside:
            _say(f"--- {title}")
        # Tests run on services of their own, never on the settings this command was started with.
        own = ("DJANGO_SETTINGS_MODULE", "HEADWAY_DATA", "HEADWAY_PROFILE", "HEADWAY_ROLE")
        inherited = {name: value for name, value in os.environ.items() if name not in own}
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [*before, sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
            done = subprocess.run(
                command,
                cwd=settings.BASE_DIR,
                env={**inherited, **(env or {})},
                check=False,
                stdout=subprocess.PIPE if aside else None,
                stderr=subprocess.STDOUT if aside else None,
                text=True,
                errors="replace",  # what a failed test shows may hold any bytes
            )
            if aside:
                _say(f"--- {title}\n{done.stdout}")
            with self.counting:
                self._count(report)
                self.broken = self.broken or done.returncode not in (0, 1, NO_TESTS)

    def _count(self, report: Path) -> None:
        if not report.exists():
            return
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            number = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
            self.failed += number["failures"] + number["errors"]
            self.skipped += number["skipped"]
            self.passed += number["tests"] - number["failures"] - number["errors"] - number["skipped"]


def _is_path(argument: str) -> bool:
    return not argument.startswith("-") and (settings.BASE_DIR / argument.partition("::")[0]).exists()


def _has_one_of(programs: Sequence[str], package: str) -> bool:
    """Find one of these programs, or install a package with it where that is possible without asking."""
    if any(shutil.which(name) for name in programs):
        return True
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    _say(f"installing {package}")
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", package]):
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
            return False
    return any(shutil.which(name) for name in programs)


def _say(text: str) -> None:
    print(text, flush=True)
