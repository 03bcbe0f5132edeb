"""`prune`: delete what has been kept long enough."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.db.models.functions import Now

from ingestion import retention
from ingestion.management.terminal import TerminalCommand, add_json, period
from ingestion.models import FINAL, Job
from notifications import keeping

_NOUNS = {
    "processes": "process row",
    "jobs": "job",
    "uploads": "upload",
    "events": "event",
    "tracebacks": "traceback",
    "deliveries": "delivery",
}


class Command(TerminalCommand):
    """`prune [--older-than 30d] [--archived 30d] [--yes] [--json]`."""

    help = (
        "Delete what the settings keep no longer, as the keeper does; with --older-than, ended jobs sooner."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the age."""
        parser.add_argument(
            "--older-than", type=period, metavar="TIME", help="jobs that ended so long ago, for example 30d"
        )
        parser.add_argument(
            "--archived",
            type=period,
            metavar="TIME",
            help="notifications that were archived so long ago, too",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete, and say how much went. Jobs that have not ended are never touched."""
        age: timedelta | None = options["older_than"]
        if age is not None and not options["yes"]:
            count = Job.objects.filter(state__in=FINAL, finished_at__lt=Now() - age).count()
            what = f"{_counted(count, 'job')} that ended more than {_words(age)} ago"
            if count:
                self.sure(f"Delete {what}?", f"This would delete {what}, with items and events. Say --yes.")
        gone = retention.prune(jobs_older_than=age)
        if options["archived"] is not None:
            gone["notifications"] += keeping.delete_archived(options["archived"])
        if options["as_json"]:
            self.say_json(gone)
            return
        told = [
            _counted(count, _NOUNS.get(name, name.replace("_", " ").removesuffix("s")))
            for name, count in gone.items()
            if count
        ]
        self.say(f"Deleted {', '.join(told)}." if told else "Nothing to delete.")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _words(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    for size, noun in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return _counted(seconds // size, noun)
    return _counted(seconds, "second")
