"""`token create NAME`, `token list`, `token revoke ID`."""

import json
import re
import sys
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ingestion import tokens
from ingestion.models import ApiToken

_PERIOD = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Command(BaseCommand):
    """Make, list and revoke tokens of programs."""

    help = "Make, list and revoke API tokens."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the three verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a token and print it alone")
        create.add_argument("name", metavar="NAME", help="the user it acts for")
        create.add_argument("--label", default="command line", help="what it is for")
        create.add_argument("--scopes", default=",".join(tokens.DEFAULT_SCOPES), help="default: read,write")
        create.add_argument("--expires", metavar="PERIOD", help="for example 30d or 12h; default: never")
        show = verbs.add_parser("list", help="list tokens, without their secrets")
        show.add_argument("name", metavar="NAME", nargs="?", help="only of this user")
        show.add_argument("--json", action="store_true", dest="as_json")
        revoke = verbs.add_parser("revoke", help="end a token for good")
        revoke.add_argument("id", type=int, metavar="ID", help="its number in `token list`")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one of the verbs."""
        {"create": self._create, "list": self._list, "revoke": self._revoke}[options["verb"]](options)

    def _create(self, options: dict[str, Any]) -> None:
        user = _user(options["name"])
        expires_at = None
        if options["expires"]:
            match = _PERIOD.fullmatch(options["expires"])
            if match is None:
                raise CommandError("--expires: give a period, for example 30d or 12h.", returncode=2)
            expires_at = timezone.now() + timedelta(**{_UNITS[match[2]]: int(match[1])})
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        try:
            _, token = tokens.create(user, options["label"][:100], scopes=scopes, expires_at=expires_at)
        except ValueError as error:
            raise CommandError(f"--scopes: {error}", returncode=2) from error
        self.stdout.write(token)

    def _list(self, options: dict[str, Any]) -> None:
        rows = ApiToken.objects.select_related("user").order_by("pk")
        if options["name"]:
            rows = rows.filter(user=_user(options["name"]))
        if options["as_json"]:
            self.stdout.write(json.dumps([_row(token) for token in rows]))
            return
        for token in rows:
            row = _row(token)
            used = row["last_used_at"] or "never used"
            self.stdout.write(
                f"{row['id']:>4}  {row['user']}  {','.join(row['scopes'])}  {used}  {row['name']}"
            )
        if not rows:
            self.stderr.write("No tokens.")

    def _revoke(self, options: dict[str, Any]) -> None:
        token = ApiToken.objects.filter(pk=options["id"]).first()
        if token is None:
            raise CommandError(f"No token {options['id']}.")
        tokens.revoke(token)
        print(f"Token {options['id']} is revoked.", file=sys.stderr)


def _user(name: str) -> Any:
    user = get_user_model()._default_manager.filter(username=name).first()
    if user is None:
        raise CommandError(f"No user {name}.")
    return user


def _row(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.pk,
        "user": token.user.get_username(),
        "name": token.name,
        "scopes": token.scopes,
        "created_at": token.created_at.isoformat(),
        "expires_at": token.expires_at and token.expires_at.isoformat(),
        "last_used_at": token.last_used_at and token.last_used_at.isoformat(),
    }
