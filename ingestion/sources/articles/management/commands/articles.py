"""`articles sample|analyse`: judge the pages that come with us, or those of a file, for a topic."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.management import parameters
from ingestion.management.terminal import TerminalCommand, add_json, find_user
from ingestion.sources.articles import lists, topics
from ingestion.sources.articles.source import BulkAnalysis


class Command(TerminalCommand):
    """`articles VERB`."""

    help = "Judge articles for a topic."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        sample = verbs.add_parser("sample", help="judge the pages that we wrote")
        analyse = verbs.add_parser("analyse", help="judge the pages whose addresses a file names, one a line")
        analyse.add_argument("topic", help="its name or its number")
        analyse.add_argument("file", help="the file, or - for stdin")
        for verb in (sample, analyse):
            verb.add_argument("--user", metavar="NAME", help="whose job; the first superuser by default")
            add_json(verb)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the verb says."""
        user = find_user(options["user"])
        params: dict[str, Any] = {}
        if options["verb"] == "analyse":
            given = options["topic"]
            topic = topics.named(user, int(given) if given.isascii() and given.isdigit() else given)
            if topic is None:
                raise CommandError(f"{user} has no such topic.")
            params = {"topic": topic.pk, "urls": _addresses(options["file"])}
        try:
            created = lifecycle.create(BulkAnalysis.kind, params, owner=user)
        except Refused as refused:
            told = "; ".join(one["message"] for one in refused.errors)
            raise CommandError(told or refused.message) from refused
        if options["as_json"]:
            self.say_job(created.job, user, created=created.created)
        else:
            self.say(f"{created.job.title}: {created.job.get_absolute_url()}")


def _addresses(path: str) -> list[str]:
    with parameters.opened(path, lists.MOST_FILE) as (file, _size):
        content = file.read(lists.MOST_FILE + 1)
    try:
        return lists.in_file(content, path)
    except ValueError as error:
        raise CommandError(str(error)) from error
