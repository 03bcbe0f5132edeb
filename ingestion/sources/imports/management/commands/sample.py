"""Ingest the bundled sample, so that a first page is not empty."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from ingestion import lifecycle, source, uploads
from ingestion.management.terminal import TerminalCommand, add_json
from ingestion.sources.imports.sample.generate import FILE


class Command(TerminalCommand):
    """`sample [--user NAME] [--json]`."""

    help = "Ingest the sample: a register of 5,000 made-up businesses."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the user it is for."""
        parser.add_argument("--user", metavar="NAME", help="whose job it is; the first superuser by default")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Store the file and start its import."""
        if settings.PRODUCTION:
            raise CommandError("Not in production.")
        user = _user(options["user"])
        imports = source.get("imports")
        with FILE.open("rb") as file:
            upload = uploads.store(user, "sample-register.csv", file, source=imports)
        with uploads.given_to_a_job(upload):
            created = lifecycle.create("imports", {"file": str(upload.pk)}, owner=user)
        if options["as_json"]:
            self.say_job(created.job, user, created=created.created)
        else:
            self.say(f"Importing {upload.name}: {created.job.get_absolute_url()}")


def _user(name: str | None) -> User:
    people = User.objects.filter(is_active=True).order_by("-is_superuser", "pk")
    user = people.filter(username=name).first() if name else people.first()
    if user is None:
        raise CommandError(
            f"No user {name}." if name else "There is no user yet. Make one: user create NAME."
        )
    return user
