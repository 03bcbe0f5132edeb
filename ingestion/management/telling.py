"""What `notify` and `broadcast` share: what may be told, and asking before everybody hears it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from config import texts
from config.problems import Problem
from ingestion.management.terminal import TerminalCommand
from notifications import broadcasts, links, types
from notifications.telling import MAX_TEXT, MAX_TITLE


@dataclass(frozen=True)
class ToTell:
    """What is told, fit for an inbox."""

    title: str
    text: str
    type: str
    url: str


def add_told(parser: CommandParser) -> None:
    """Take what both commands say beside the text."""
    parser.add_argument("--title", metavar="TITLE", help="the line above; default: the text itself")
    parser.add_argument("--type", default="system", metavar="TYPE", help="a declared type; default system")
    parser.add_argument("--link", default="", metavar="PATH", help="where it leads: a path of this site")


def check(text: str, options: Mapping[str, Any]) -> ToTell:
    """Return what is told. Raises CommandError, Problem bad_character."""
    for name, value in (("text", text), ("title", options["title"] or "")):
        odd = texts.odd_at(value, lines=name == "text")
        if odd is not None:
            raise Problem("bad_character", field=name, n=odd)
    if len(text) > MAX_TEXT:
        raise CommandError(f"At most {MAX_TEXT:,} characters.")
    title = options["title"] or _first_line(text)
    if not texts.shows(title) or len(title) > MAX_TITLE:
        raise CommandError(f"The title: 1 to {MAX_TITLE} characters.")
    if types.find(options["type"]) is None:
        raise CommandError(f"No type {options['type']}. Types: {', '.join(sorted(types.declared()))}.")
    try:
        url = links.check(options["link"])
    except ValueError as error:
        raise CommandError(str(error)) from error
    return ToTell(title, "" if text.strip() == title else text, options["type"], url)


def tell_all(command: TerminalCommand, told: ToTell, options: Mapping[str, Any]) -> None:
    """Tell everybody, once somebody has said yes to their number. Raises CommandError."""
    if not options["yes"]:
        count = User.objects.filter(is_active=True).count()
        users = f"{count:,} {'user' if count == 1 else 'users'}"
        command.sure(f"Notify {users}?", f"Say --yes to notify {users}.")
    made = broadcasts.broadcast(told.title, text=told.text, url=told.url, type=told.type)
    if options["as_json"]:
        command.say_json({"created": 1, "broadcast": True, "id": -made.pk})
    else:
        command.say(f"Told everybody. `broadcast --withdraw {made.pk}` takes it back.")


def _first_line(text: str) -> str:
    line = next(iter(text.strip().splitlines()), "").replace("\t", " ")
    return line if len(line) <= MAX_TITLE else f"{line[: MAX_TITLE - 1]}…"
