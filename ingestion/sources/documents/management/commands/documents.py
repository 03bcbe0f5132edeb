"""`documents sample|workspaces|list|search`: workspaces and their documents from the terminal."""

import re
from html import unescape
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from ingestion.management.terminal import TerminalCommand, add_json, find_user
from ingestion.sources.documents import api, search
from ingestion.sources.documents.models import MAX_TOP_K, DocumentStatus, Workspace
from ingestion.sources.documents.sample import shelf

MAX_LISTED = 1000
_TAGS = re.compile("</?mark>")


class Command(TerminalCommand):
    """`documents VERB`."""

    help = "List workspaces and documents, search in what is ready, or make the sample workspace."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("sample", help="make a workspace with documents that we wrote")
        verbs.add_parser("workspaces", help="list the workspaces that the user is a member of")
        listed = verbs.add_parser("list", help="list the documents of a workspace")
        listed.add_argument("--status", choices=DocumentStatus.values)
        found = verbs.add_parser("search", help="find passages in the documents that are ready")
        for verb in (listed, found):
            verb.add_argument("workspace", type=int, metavar="WORKSPACE", help="its number")
        found.add_argument("words", metavar="WORDS")
        found.add_argument("--limit", type=int, help="passages at most; else what the settings say")
        found.add_argument("--format", action="append", choices=sorted(search.FORMATS), default=[])
        found.add_argument("--name", default="", help="only in documents with this part of a name")
        found.add_argument("--document", type=int, action="append", default=[], metavar="N")
        for verb in verbs.choices.values():
            verb.add_argument("--user", metavar="NAME", help="as whom; the first superuser by default")
            add_json(verb)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the verb says."""
        user = find_user(options["user"])
        getattr(self, f"_{options['verb']}")(user, options)

    def _sample(self, user: Any, options: dict[str, Any]) -> None:
        if settings.PRODUCTION:
            raise CommandError("Not in production.")
        workspace, jobs = shelf.start(user)
        if options["as_json"]:
            self.say_json({"workspace": workspace.pk, "jobs": [str(job.pk) for job in jobs]})
        else:
            self.say(f"Workspace {workspace.pk}, {len(jobs)} jobs started: {workspace.get_absolute_url()}")

    def _workspaces(self, user: Any, options: dict[str, Any]) -> None:
        rows = list(Workspace.objects.of(user).order_by("-pk")[:MAX_LISTED])
        if options["as_json"]:
            self.say_json([{"id": one.pk, "name": one.name, "status": one.status} for one in rows])
        elif rows:
            self.say_table(("N", "STATUS", "NAME"), [(str(one.pk), one.status, one.name) for one in rows])
        else:
            self.note("There are no workspaces.")

    def _list(self, user: Any, options: dict[str, Any]) -> None:
        documents = self._of(user, options).documents.select_related("added_by").order_by("-pk")
        if options["status"]:
            documents = documents.filter(status=options["status"])
        rows = list(documents[:MAX_LISTED])
        if options["as_json"]:
            self.say_json([api.as_json(one) for one in rows])
        elif rows:
            told = [
                (str(one.pk), one.status, str(one.chunk_count or "-"), one.error or one.name) for one in rows
            ]
            self.say_table(("N", "STATUS", "PASSAGES", "NAME"), told)
        else:
            self.note("There are no documents.")

    def _search(self, user: Any, options: dict[str, Any]) -> None:
        most = options["limit"]
        if most is not None and not 1 <= most <= MAX_TOP_K:
            raise CommandError(f"--limit must be 1-{MAX_TOP_K}.")
        filters = search.Filters(tuple(options["document"]), tuple(options["format"]), options["name"])
        found = search.search(self._of(user, options), options["words"], most, filters)
        if options["as_json"]:
            hits = [hit.as_json() for hit in found.hits]
            self.say_json({"ready": found.ready, "not_ready": found.not_ready, "hits": hits})
            return
        others = f"; {found.not_ready} not ready" if found.not_ready else ""
        self.note(f"{len(found.hits)} passages, searched {found.ready} ready documents{others}")
        for hit in found.hits:
            self.say(f"{hit.chunk.document.name}, {hit.place}")
            self.say(f"    {unescape(_TAGS.sub('', hit.snippet))}")

    def _of(self, user: Any, options: dict[str, Any]) -> Workspace:
        pk = options["workspace"]
        found = (
            Workspace.objects.of(user).select_related("retrieval").filter(pk=pk).first() if pk > 0 else None
        )
        if found is None:
            raise CommandError(f"There is no workspace {pk} of this user.")
        return found
