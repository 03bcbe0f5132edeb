"""`lifelogs sample|add|accounts|days|sync`: accounts and days from the terminal."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from ingestion import lifecycle
from ingestion.errors import NotPossible
from ingestion.management.terminal import TerminalCommand, add_json, find_user, moment
from ingestion.sources.lifelogs import accounts, day_page, spans
from ingestion.sources.lifelogs.models import Account

MOST_WEEKS = 53


class Command(TerminalCommand):
    """`lifelogs VERB`."""

    help = "Connect lifelog accounts, list days and whether they are complete, sync them; or show the sample."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("sample", help="bring days that we made up; one becomes complete while you watch")
        add = verbs.add_parser("add", help="connect an account; its key is read from stdin, not from here")
        add.add_argument("--zone", required=True, help="in which its days begin, for example Europe/Oslo")
        add.add_argument("--service", default="limitless")
        add.add_argument("--label", default="")
        verbs.add_parser("accounts", help="list the accounts")
        days = verbs.add_parser("days", help="list days and whether they are complete")
        days.add_argument("--weeks", type=int, default=8)
        sync = verbs.add_parser("sync", help="read what is incomplete, or the days that are named")
        sync.add_argument("--date", metavar="YYYY-MM-DD")
        sync.add_argument("--month", metavar="YYYY-MM")
        for verb in (days, sync):
            verb.add_argument("--account", type=int, metavar="N", help="the first one by default")
        for verb in verbs.choices.values():
            verb.add_argument("--user", metavar="NAME", help="whose; the first superuser by default")
            add_json(verb)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the verb says."""
        user = find_user(options["user"])
        getattr(self, f"_{options['verb']}")(user, options)

    def _sample(self, user: Any, options: dict[str, Any]) -> None:
        if settings.PRODUCTION:
            raise CommandError("Not in production.")
        account = accounts.sample_of(user)
        self._start(user, {"account": account.pk, "mode": "watch"}, options)

    def _add(self, user: Any, options: dict[str, Any]) -> None:
        if sys.stdin.isatty():
            self.note("Paste the key and press Enter; it is not shown again.")
        key = sys.stdin.readline(accounts.MOST_KEY + 2)
        try:
            account = accounts.add(user, options["service"], key, options["zone"], options["label"])
        except NotPossible as error:
            raise CommandError(str(error)) from error
        refused = accounts.begin(account)
        if options["as_json"]:
            self.say_json(self._told(account))
        else:
            every = f"synced {'' if refused else 'now and '}every {accounts.EVERY_HOURS} hours"
            self.say(f"Account {account.pk}: {account.label}, {every}. {refused}".strip())

    def _accounts(self, user: Any, options: dict[str, Any]) -> None:
        found = accounts.of(user)
        if options["as_json"]:
            self.say_json([self._told(one) for one in found])
        elif found:
            rows = [(str(one.pk), one.label, one.zone, one.status, moment(one.synced_from)) for one in found]
            self.say_table(("N", "NAME", "ZONE", "STATUS", "SYNCED"), rows)
        else:
            self.note("There are no accounts.")

    def _days(self, user: Any, options: dict[str, Any]) -> None:
        if not 1 <= options["weeks"] <= MOST_WEEKS:
            raise CommandError(f"--weeks must be 1-{MOST_WEEKS}.")
        account = self._account(user, options)
        today = spans.today(account, day_page.clock_of(account))
        since = today.fromordinal(today.toordinal() - 7 * options["weeks"] + 1)
        rows = list(account.days.filter(date__gte=since).order_by("date"))
        if options["as_json"]:
            self.say_json(
                [
                    {
                        "date": one.date.isoformat(),
                        "status": one.ingestion_status,
                        "items": one.items_count,
                        "version": one.version,
                    }
                    for one in rows
                ]
            )
        elif rows:
            told = [(one.date.isoformat(), one.ingestion_status, str(one.items_count)) for one in rows]
            self.say_table(("DATE", "STATUS", "ITEMS"), told)
        else:
            self.note("No day was synced yet.")

    def _sync(self, user: Any, options: dict[str, Any]) -> None:
        params: dict[str, Any] = {"account": self._account(user, options).pk, "mode": "incomplete"}
        if options["date"]:
            params |= {"mode": "day", "date": options["date"]}
        elif options["month"]:
            params |= {"mode": "month", "month": options["month"]}
        self._start(user, params, options)

    def _start(self, user: Any, params: dict[str, Any], options: dict[str, Any]) -> None:
        created = lifecycle.create(accounts.KIND, params, owner=user)
        if options["as_json"]:
            self.say_job(created.job, user, created=created.created)
        else:
            self.say(f"{created.job.title}: {created.job.get_absolute_url()}")

    def _account(self, user: Any, options: dict[str, Any]) -> Account:
        account = accounts.find(user, options["account"])
        if account is None:
            raise CommandError("There is no such account.")
        return account

    def _told(self, account: Account) -> dict[str, Any]:
        names = ("label", "service", "zone", "status", "reason")
        return {"id": account.pk, **{name: getattr(account, name) for name in names}}
