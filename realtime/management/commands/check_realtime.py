"""Test a deployment from outside: does everything between a browser and the server carry the live wire?"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError

from config.plain import PlainCommand, printable, whole_number
from realtime.checkup import check
from realtime.deployment import Credentials, Deployment, signed_in

WRONGLY = 2  # exit code: called wrongly


class Command(PlainCommand):
    """`check_realtime URL [--user NAME | --token T --stream S] [--quick] [--json]`."""

    help = "Test a deployment from outside and print what to fix."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the address and who asks."""
        parser.add_argument(
            "url", metavar="URL", help="the site as a browser sees it, https://headway.example"
        )
        who = parser.add_mutually_exclusive_group()
        who.add_argument("--user", metavar="NAME", help="ask as this user of our database, with a session")
        who.add_argument("--token", help="ask with an API token; - reads it from stdin")
        parser.add_argument("--stream", default="", help="what to watch; with --user their own by default")
        parser.add_argument(
            "--upload-mb", type=whole_number(1, 10_000), default=settings.MAX_UPLOAD_MB, metavar="N"
        )
        parser.add_argument("--quick", action="store_true", help="do not wait for heartbeats (saves 25 s)")
        parser.add_argument("--json", action="store_true", help="one JSON line instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, and say what was found. Exit code 1 when something is to be fixed."""
        try:
            site = Deployment(options["url"])
        except ValueError as error:
            raise CommandError(str(error), returncode=WRONGLY) from error
        if options["token"] and not options["stream"]:
            raise CommandError("Name what the token may watch with --stream.", returncode=WRONGLY)
        found = []
        with _credentials(**options) as who:
            for one in check(site, who, upload_mb=options["upload_mb"], quick=options["quick"]):
                found.append(one)
                if not options["json"]:
                    self.stdout.write(f"{one.status:8} {one.name:15} {printable(one.text)}")
                    if one.fix:
                        self.stdout.write(f"{'':24} {printable(one.fix)}")
        wrong = [one.name for one in found if one.status == "problem"]
        if options["json"]:
            report = {"url": site.origin, "ok": not wrong, "found": [asdict(one) for one in found]}
            self.stdout.write(json.dumps(report))
        if wrong:
            raise CommandError(f"To be fixed: {', '.join(wrong)}.")


@contextmanager
def _credentials(user: str | None, token: str | None, stream: str, **_: Any) -> Iterator[Credentials]:
    """Yield who asks; a session made for that ends with it."""
    if token:
        yield Credentials(token=sys.stdin.readline().strip() if token == "-" else token, stream=stream)
        return
    if not user:
        yield Credentials()
        return
    found = User.objects.filter(username=user, is_active=True).first()
    if found is None:
        raise CommandError(f"There is no active user {printable(user)}.")
    with signed_in(found, stream or f"user:{found.pk}") as who:
        yield who
