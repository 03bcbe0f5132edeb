"""`token create NAME`, `token list`, `token revoke ID`."""

from argparse import ArgumentTypeError
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from config import texts
from ingestion import tokens
from ingestion.management.terminal import TerminalCommand, add_json, period, usage
from ingestion.models import ApiToken


class Command(TerminalCommand):
    """Make, list and revoke tokens of programs."""

    help = "Make, list and revoke API tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the three verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a token and print it alone")
        create.add_argument("name", metavar="NAME", help="the user it acts for")
        create.add_argument("--label", default="command line", help="what it is for")
        create.add_argument("--scopes", default=",".join(tokens.DEFAULT_SCOPES), help="default: read,write")
        create.add_argument("--expires", metavar="PERIOD", help="for example 30d or 12h; default: never")
        show = verbs.add_parser("list", help="list tokens, without their secrets")
        show.add_argument("name", metavar="NAME", nargs="?", help="only of this user")
        add_json(show)
        revoke = verbs.add_parser("revoke", help="end a token for good")
        revoke.add_argument("id", type=int, metavar="ID", help="its number in `token list`")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one of the verbs."""
        {"create": self._create, "list": self._list, "revoke": self._revoke}[options["verb"]](options)

    def _create(self, options: dict[str, Any]) -> None:
        user = _user(options["name"])
        expires_at = None
        if options["expires"]:
            try:
                expires_at = timezone.now() + period(options["expires"])
            except ArgumentTypeError as error:
                usage(f"--expires: {error}")
        try:
            label = texts.refuse(options["label"])[:100]
        except ValueError as error:
            usage(f"--label: {error}")
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        try:
            _, token = tokens.create(user, label, scopes=scopes, expires_at=expires_at)
        except ValueError as error:
            usage(f"--scopes: {error}")
        self.say(token)

    def _list(self, options: dict[str, Any]) -> None:
        rows = ApiToken.objects.select_related("user").order_by("pk")
        if options["name"]:
            rows = rows.filter(user=_user(options["name"]))
        if options["as_json"]:
            self.say_json([_row(token) for token in rows])
        elif rows:
            cells = [[str(cell) for cell in _cells(_row(token))] for token in rows]
            self.say_table(["ID", "USER", "SCOPES", "LAST USED", "NAME"], cells)
        else:
            self.note("No tokens.")

    def _revoke(self, options: dict[str, Any]) -> None:
        token = ApiToken.objects.filter(pk=options["id"]).first()
        if token is None:
            raise CommandError(f"No token {options['id']}.")
        tokens.revoke([token])
        self.note(f"Token {options['id']} is revoked.")


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


def _cells(row: dict[str, Any]) -> list[Any]:
    used = row["last_used_at"] or "never used"
    return [row["id"], row["user"], ",".join(row["scopes"]), used, row["name"]]
