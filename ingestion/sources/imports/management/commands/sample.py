"""Ingest the bundled sample, so that a first page is not empty."""

import json
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from config.problems import Problem
from ingestion import lifecycle, serializers, source, uploads
from ingestion.admission import Refused
from ingestion.sources.imports.sample.generate import FILE


class Command(BaseCommand):
    """`sample [--user NAME] [--json]`."""

    help = "Ingest the sample: a register of 5,000 made-up businesses."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the user it is for."""
        parser.add_argument("--user", metavar="NAME", help="whose job it is; the first superuser by default")
        parser.add_argument("--json", action="store_true", help="print the job as the API does")

    def handle(self, *args: Any, **options: Any) -> None:
        """Store the file and start its import."""
        user = _user(options["user"])
        imports = source.get("imports")
        try:
            with FILE.open("rb") as file:
                upload = uploads.store(user, "sample-register.csv", file, source=imports)
            created = lifecycle.create("imports", {"file": str(upload.pk)}, owner=user)
        except Problem as problem:
            raise CommandError(problem.detail) from problem
        except Refused as refused:
            raise CommandError(refused.message) from refused
        job = created.job
        if options["json"]:
            data = serializers.job_data(serializers.for_json(type(job).objects.filter(pk=job.pk)).get())
            self.stdout.write(json.dumps(data, default=str))
        else:
            self.stdout.write(f"Importing {upload.name}: {job.get_absolute_url()}")


def _user(name: str | None) -> User:
    people = User.objects.filter(is_active=True).order_by("-is_superuser", "pk")
    user = people.filter(username=name).first() if name else people.first()
    if user is None:
        raise CommandError(
            f"No user {name}." if name else "There is no user yet. Make one: user create NAME."
        )
    return user
