"""Watching a job in a terminal: bars from the database row, a few times a second."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.text import Text

from config.plain import printable
from ingestion import serializers, words
from ingestion.management.parameters import Progress as Told
from ingestion.management.terminal import TerminalCommand
from ingestion.models import Job, JobEvent, State

INTERVAL = 0.3  # seconds between two looks
PLAIN_SECONDS = 5.0  # between two lines of figures where no bar can be drawn
EVENTS_AT_ONCE = 50
DATABASE_PATIENCE = 60.0  # seconds for which a watcher waits for the database to come back
_ANSWERS = {"match": "match COLUMN=TARGET", "upload": "upload file=PATH"}  # by what is asked; else yes or no
_LEVEL_STYLE = {"success": "green", "warning": "yellow", "error": "red"}


class WatchingCommand(TerminalCommand):
    """A command that can show a job until its end."""

    @property
    def console(self) -> Console:
        """Return where bars are drawn: stderr, so that stdout holds only what was asked for."""
        out = getattr(self.stderr, "_out", sys.stderr)
        return Console(file=out, highlight=False, markup=False, soft_wrap=False)

    def watched(self, job: Job, seconds: float = INTERVAL) -> Job:
        """Show the job until it has ended or needs a person, and say what became of it."""
        job = watch(job.pk, self.console, seconds)
        self.note(outcome(job))
        return job


def outcome(job: Job) -> str:
    """Return what became of a job, in a sentence or two."""
    if job.state == State.WAITING:
        asked = job.waiting_for or {}
        answer = _ANSWERS.get(asked.get("kind", ""), "approve (or: reject reason=TEXT)")
        said = f"{words.word(serializers.display(job))}: {asked.get('text', '')}"
        return f"{said} Answer it with: job answer {job.pk} {answer}"
    counts = (
        f" {job.items_done:,} done, {job.items_failed:,} failed, {job.items_skipped:,} skipped."
        if job.items_total
        else ""
    )
    said = (job.error or {}).get("text") or job.message
    return f"{words.word(serializers.display(job))}: {said.rstrip('.') or 'ended'}.{counts}"


def watch(job_id: Any, console: Console, interval: float = INTERVAL) -> Job:
    """Show a job until it has ended or needs a person. Return it as it is then. Raises CommandError."""
    view = Bars(console) if console.is_terminal else Lines(console)
    away_since: float | None = None
    seen = 0
    with view:
        while True:
            try:
                job = serializers.for_json(Job.objects.filter(pk=job_id)).first()
                if job is None:
                    raise CommandError(f"No job {job_id}.")
                for event in job.events.filter(version__gt=seen).order_by("version")[:EVENTS_AT_ONCE]:
                    seen = event.version
                    view.event(event)
                view.figures(job)
                away_since = None
                if seen >= _last_event(job, seen) and (job.is_final or job.state == State.WAITING):
                    return job
            except (OperationalError, InterfaceError):
                connection.close()
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > DATABASE_PATIENCE:
                    raise
            time.sleep(interval)


def _last_event(job: Job, seen: int) -> int:
    return job.events.filter(version__gt=seen).values_list("version", flat=True).first() or seen


class Bars:
    """One bar for the job and one for each step that has begun; news goes above them."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %", markup=False),
            TextColumn("{task.fields[figures]}", markup=False),
            console=console,
            auto_refresh=False,
            expand=True,
        )
        self.whole: TaskID | None = None
        self.steps: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self.progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()

    def event(self, event: JobEvent) -> None:
        """Print a line of the job's history."""
        line = Text(f"{timezone.localtime(event.at):%H:%M:%S}  {printable(event.message)}")
        line.stylize(_LEVEL_STYLE.get(event.level, ""))
        self.progress.console.print(line)

    def figures(self, job: Job) -> None:
        """Draw where the job is."""
        name = printable(job.name)
        if self.whole is None:
            self.whole = self.progress.add_task(name, total=1.0, figures="")
        self.progress.update(self.whole, completed=job.progress, figures=figures(job))
        for step_name, step in serializers.steps_of(job):
            if step.get("started_at") is None:
                continue
            if step_name not in self.steps:
                label = "  " + printable(step.get("label") or step_name)
                self.steps[step_name] = self.progress.add_task(label, total=None, figures="")
            self._step(self.steps[step_name], step)
        self.progress.refresh()

    def _step(self, task: TaskID, step: dict[str, Any]) -> None:
        done, total = step.get("done") or 0, step.get("total")
        counts = f"{done:,} of {total:,}" if total else ""
        if step.get("state") == "completed":
            self.progress.update(task, total=1, completed=1, figures=counts or "done")
        elif total:
            self.progress.update(task, total=total, completed=done, figures=counts)


class Lines:
    """The same where no bar can be drawn: lines, few of them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.said = ""
        self.said_at = 0.0

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def event(self, event: JobEvent) -> None:
        """Print a line of the job's history."""
        self._print(f"{timezone.localtime(event.at):%H:%M:%S}  {event.message}")

    def figures(self, job: Job) -> None:
        """Print where the job is, when that changed."""
        text = f"{job.progress:4.0%}  {figures(job)}"
        if text != self.said and (job.is_final or time.monotonic() - self.said_at >= PLAIN_SECONDS):
            self.said, self.said_at = text, time.monotonic()
            self._print(text)

    def _print(self, text: str) -> None:
        self.console.print(Text(printable(text)), soft_wrap=True)


def figures(job: Job) -> str:
    """Return a job's state and counts in words."""
    parts = [words.word(serializers.display(job, timezone.now()))]
    if job.items_total:
        parts.append(f"{job.items_done + job.items_skipped:,} of {job.items_total:,}")
    if job.items_failed:
        parts.append(f"{job.items_failed:,} failed")
    if job.rate and job.state == State.RUNNING:
        parts.append(f"{job.rate:,.0f} a minute")
    if job.eta_seconds and job.state == State.RUNNING:
        parts.append(f"{_short(job.eta_seconds)} left")
    return ", ".join(parts)


def bytes_read(console: Console) -> Any:
    """Return what shows how much of a file was read, for `parameters.stored_files`."""

    @contextmanager
    def show(name: str, size: int | None) -> Iterator[Told]:
        if not console.is_terminal:
            yield lambda n: None
            return
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(f"Reading {printable(name)}", total=size)
            yield lambda n: progress.advance(task, n)

    return show


def _short(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{minutes // 60} h"
