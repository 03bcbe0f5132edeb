"""`ingest SOURCE key=value ...`: start a job."""

import sys
from typing import Any

from django.core.management.base import CommandParser

from ingestion import lifecycle, queues, serializers, words
from ingestion.admission import Created
from ingestion.management import parameters
from ingestion.management.terminal import INTERRUPTED, add_json, address, code_of, find_user
from ingestion.management.watching import WatchingCommand, bytes_read


class Command(WatchingCommand):
    """`ingest SOURCE key=value ... [--user NAME] [--watch] [--json]`."""

    help = "Start a job. A file parameter is a path, or - for stdin. `sources` says what each source takes."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the source and its params."""
        parser.add_argument("source", metavar="SOURCE", help="what to ingest; see `sources`")
        parser.add_argument(
            "pairs", nargs="*", metavar="name=value", help="its parameters; repeat one for a list"
        )
        parser.add_argument("--user", metavar="NAME", help="whose job it is; the first superuser by default")
        parser.add_argument("--watch", action="store_true", help="show progress until the job has ended")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Start the job and say which it is."""
        pairs = parameters.read_pairs(options["pairs"])
        source = parameters.find_source(options["source"])
        params = parameters.params_of(source, pairs)
        user = find_user(options["user"])
        parameters.check(source, params, files=pairs)  # before a large file is read for nothing
        with parameters.stored_files(source, user, pairs, bytes_read(self.console)) as stored:
            made = lifecycle.create(source.kind, params | stored, owner=user)
        if queues.trouble():
            self.note("Redis is not reachable; the job starts when it is back.")
        self._say_made(made, options)
        job = made.job
        if options["watch"]:
            try:
                job = self.watched(made.job)
            except KeyboardInterrupt:
                self.note(f"Job {made.job.pk} goes on.")
                sys.exit(INTERRUPTED)
        if options["as_json"]:
            self.say_job(job, user, created=made.created)
        if options["watch"] and code_of(job):
            sys.exit(code_of(job))

    def _say_made(self, made: Created, options: dict[str, Any]) -> None:
        say = self.note if options["as_json"] else self.say
        if made.created:
            say(f"Job {made.job.pk} is {words.word(serializers.display(made.job)).lower()}.")
        else:
            say(f"Job {made.job.pk} does this already ({words.word(serializers.display(made.job)).lower()}).")
        if not options["watch"]:
            say(f"{address()}{made.job.get_absolute_url()}")
