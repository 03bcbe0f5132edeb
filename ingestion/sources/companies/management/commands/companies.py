"""`companies sample|due`: the made-up company, and which ones were not looked at for a while."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.management.terminal import TerminalCommand, add_json, find_user, moment
from ingestion.sources.companies import due
from ingestion.sources.companies.sample import standin
from ingestion.sources.companies.source import Companies

MAX_LISTED = 1000


class Command(TerminalCommand):
    """`companies VERB`."""

    help = "Ingest the sample company; list or start the companies that are due for another look."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        sample = verbs.add_parser("sample", help="ingest the company that we made up")
        listed = verbs.add_parser("due", help="list companies whose filings were not looked at lately")
        listed.add_argument("--days", type=int, default=1, help="not for so many days; default 1")
        listed.add_argument("--start", action="store_true", help="start an ingestion of each")
        for verb in (sample, listed):
            verb.add_argument("--user", metavar="NAME", help="whose jobs; the first superuser by default")
            add_json(verb)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the verb says."""
        getattr(self, f"_{options['verb']}")(options)

    def _sample(self, options: dict[str, Any]) -> None:
        if settings.PRODUCTION:
            raise CommandError("Not in production.")
        user = find_user(options["user"])
        created = lifecycle.create(Companies.kind, {"ticker": standin.TICKER}, owner=user)
        if options["as_json"]:
            self.say_job(created.job, user, created=created.created)
        else:
            self.say(f"Ingesting {standin.TICKER}: {created.job.get_absolute_url()}")

    def _due(self, options: dict[str, Any]) -> None:
        if not 0 <= options["days"] <= 3650:
            raise CommandError("--days must be 0-3650.")
        found = list(due.companies(timedelta(days=options["days"]))[:MAX_LISTED])
        symbols = due.symbols_of(found)
        rows = [(symbols[company.cik], company.name, moment(company.checked_at)) for company in found]
        if options["start"]:
            rows = rows[: self._start([symbol for symbol, _, _ in rows], find_user(options["user"]))]
        if options["as_json"]:
            names = ("ticker", "name", "checked_at")
            self.say_json([dict(zip(names, row, strict=True)) for row in rows])
        elif rows:
            self.say_table(("TICKER", "NAME", "LAST LOOKED AT"), rows)
        elif not found:
            self.note("No company is due.")

    def _start(self, symbols: list[str], user: User) -> int:
        """Start an ingestion of each as far as there is room; return of how many."""
        for n, symbol in enumerate(symbols):
            try:
                lifecycle.create(Companies.kind, {"ticker": symbol}, owner=user)
            except Refused as refused:
                if refused.code not in ("quota_exceeded", "queue_full"):
                    raise
                self.note(f"{n:,} of {len(symbols):,} started, the others next time: {refused.message}")
                return n
        return len(symbols)
