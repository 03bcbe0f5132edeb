"""`jobs`: list jobs, newest first."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from ingestion import serializers, words
from ingestion.management import parameters
from ingestion.management.terminal import (
    Everybody,
    TerminalCommand,
    add_json,
    find_user,
    limit,
    moment,
    one_of,
    since,
)
from ingestion.models import Job, State

DEFAULT_LIMIT = 50


class Command(TerminalCommand):
    """`jobs [--state S] [--source S] [--user NAME] [--since T] [--limit N] [--json]`."""

    help = "List jobs, newest first. `job show ID` tells more of one."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the filters."""
        parser.add_argument(
            "--state",
            type=one_of(State.values, "state"),
            help=f"of {', '.join(State.values)}; several with commas",
        )
        parser.add_argument("--source", help="one source")
        parser.add_argument("--user", metavar="NAME", help="of one user")
        parser.add_argument(
            "--since", type=since, metavar="TIME", help="made since, for example 2026-11-18 or 2h"
        )
        parser.add_argument(
            "--limit",
            type=limit,
            default=DEFAULT_LIMIT,
            metavar="N",
            help=f"at most; default {DEFAULT_LIMIT}",
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """List them."""
        found = serializers.for_json(Job.objects.order_by("-pk"))
        if options["state"]:
            found = found.filter(state__in=options["state"])
        if options["source"]:
            found = found.filter(source=parameters.find_source(options["source"]).kind)
        if options["user"]:
            found = found.filter(owner=find_user(options["user"]))
        if options["since"]:
            found = found.filter(created_at__gte=options["since"])
        rows = list(found[: options["limit"]])
        if options["as_json"]:
            now = timezone.now()
            self.say_json([serializers.api_job(job, Everybody(), now=now) for job in rows])
        elif rows:
            self.say_table(["ID", "STATE", "DONE", "MADE", "BY", "WHAT"], [_row(job) for job in rows])
        else:
            self.note("No jobs.")


def _row(job: Job) -> list[str]:
    return [
        str(job.pk),
        words.word(serializers.display(job, timezone.now())),
        f"{job.progress:.0%}",
        moment(job.created_at),
        job.owner.get_username() if job.owner else "",
        f"{job.source}: {job.name}",
    ]
