"""Run an instance in one terminal: start its processes in order, restart what falls, leave nothing behind."""

import fcntl
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from config import children

TICK = 0.1
BACKOFF = (0.2, 1, 2, 5, 10, 30)  # seconds before the n-th restart in a row
STEADY_SECONDS = 30  # a process that ran so long starts counting anew
WORK_STOP_SECONDS = 9  # for keeper, workers and web together; with the services below 15 s in all
OUTPUT_LINES = 10_000  # waiting for a reader of our output; what is more is dropped, never waited for


class AlreadyRunning(Exception):
    """Another supervisor holds this data folder."""


class Output:
    """The terminal. Nobody waits for it: a script may stop reading our output and we must go on."""

    def __init__(self) -> None:
        self._lines: queue.Queue[tuple[int, bytes]] = queue.Queue(OUTPUT_LINES)
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def line(self, text: str, *, stdout: bool = False) -> None:
        """Print one line, on stderr unless scripts wait for it."""
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        try:
            self._lines.put_nowait((1 if stdout else 2, data))
        except queue.Full:
            pass

    def follow(self, name: str, stream: IO[bytes]) -> None:
        """Print each line of a child behind its name."""

        def read() -> None:
            for raw in iter(stream.readline, b""):
                self.line(f"{name:<10} | {raw.decode('utf-8', 'replace').rstrip()}")
            stream.close()

        threading.Thread(target=read, daemon=True).start()

    def flush(self) -> None:
        """Give the terminal a second to take what is left."""
        end = time.monotonic() + 1
        while not self._lines.empty() and time.monotonic() < end:
            time.sleep(0.02)

    def _write(self) -> None:
        while True:
            file, data = self._lines.get()
            try:
                while data:  # os.write: a blocked sys.stderr would lock up the interpreter's exit
                    data = data[os.write(file, data) :]
            except OSError:
                pass  # nobody reads any more


@dataclass
class Program:
    """A process to keep running.

    start: starts it; called in the main thread.
    await_up: waits until it serves; for those that others need.
    """

    name: str
    role: str
    start: Callable[[], subprocess.Popen[bytes]]
    await_up: Callable[[subprocess.Popen[bytes]], None] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    child: subprocess.Popen[bytes] | None = None
    failures: int = 0
    started_at: float = 0
    restart_at: float = field(default=0)


class Supervisor:
    """Holds the data folder and the processes of one instance."""

    def __init__(self, data: Path, output: Output) -> None:
        self.data = data
        self.output = output
        self.programs: list[Program] = []
        self.stopping = False
        self._lock = self._take_lock()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)

    def _take_lock(self) -> IO[str]:
        lock = (self.data / "up.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise AlreadyRunning(f"Headway already runs on {self.data} (process {holder}).") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _ask_to_stop(self, number: int, frame: object) -> None:
        self.stopping = True

    def say(self, text: str) -> None:
        """Print a line of our own."""
        self.output.line(f"{'headway':<10} | {text}")

    def add(self, program: Program) -> None:
        """Start a process and keep it running."""
        self.programs.append(program)
        self._start(program)
        if program.await_up and program.child:
            program.await_up(program.child)

    def _start(self, program: Program) -> None:
        program.child = program.start()
        program.started_at = time.monotonic()
        if program.child.stdout:
            self.output.follow(program.name, program.child.stdout)
        self._write_processes()

    def once(self, name: str, command: Sequence[str | Path], env: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a command that ends by itself."""
        child = children.start(command, env=env, output=subprocess.PIPE)
        assert child.stdout is not None
        self.output.follow(name, child.stdout)
        return child

    def run(self, every_tick: Callable[[], None]) -> None:
        """Keep everything running until asked to stop."""
        while not self.stopping:
            for program in self.programs:
                self._look_after(program)
            every_tick()
            time.sleep(TICK)

    def _look_after(self, program: Program) -> None:
        now = time.monotonic()
        if program.child is not None:
            code = program.child.poll()
            if code is None:
                return
            program.failures = 0 if now - program.started_at > STEADY_SECONDS else program.failures
            wait = BACKOFF[min(program.failures, len(BACKOFF) - 1)]
            program.child, program.failures, program.restart_at = None, program.failures + 1, now + wait
            self.say(f"{program.name} ended ({_words(code)}); starting it again in {wait} s")
            self._write_processes()
        elif now >= program.restart_at:
            self._start(program)

    def _write_processes(self) -> None:
        alive = [
            {"name": program.name, "pid": program.child.pid, "role": program.role}
            for program in self.programs
            if program.child is not None
        ]
        new = self.data / "processes.json.new"
        new.write_text(json.dumps(alive, indent=1) + "\n")
        new.replace(self.data / "processes.json")

    def stop(self) -> None:
        """End everything: keeper, workers and web first, then what they need."""
        self.stopping = True
        services = [program for program in self.programs if program.await_up]
        work = [program for program in reversed(self.programs) if not program.await_up]
        for program in work:
            if program.child and program.child.poll() is None:
                program.child.send_signal(program.stop_signal)
        end = time.monotonic() + WORK_STOP_SECONDS
        for program in work:
            if program.child:
                self._end(program, end - time.monotonic())
        for program in services:  # PostgreSQL first: nothing writes any more
            if program.child:
                if program.child.poll() is None:
                    program.child.send_signal(program.stop_signal)
                self._end(program, 2.5)
        (self.data / "processes.json").unlink(missing_ok=True)
        self._lock.close()

    def _end(self, program: Program, seconds: float) -> None:
        assert program.child is not None
        try:
            program.child.wait(max(0, seconds))
        except subprocess.TimeoutExpired:
            self.say(f"{program.name} did not end by itself")
            program.child.kill()
            program.child.wait()


def _words(code: int) -> str:
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name
