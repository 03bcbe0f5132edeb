"""Say in one line what the database refuses: a connection, a right, or a text that it cannot hold."""

from collections.abc import Sequence

from django.conf import settings
from django.db import DataError, connection

from config.problems import PROBLEMS
from config.strictjson import Refusal, check_characters

INSUFFICIENT_PRIVILEGE = "42501"  # PostgreSQL, appendix A


def unreachable(error: Exception) -> str | None:
    """Return the line when `error` means that no connection could be made, else None."""
    if connection.connection is not None:
        return None
    if settings.EMBEDDED_POSTGRES:
        return (
            f"Headway is not running in {settings.DATA_DIR}. Start it with ./run up, or name it with --data."
        )
    place = connection.settings_dict
    return f"Cannot reach the database at {place['HOST'] or 'localhost'}:{place['PORT'] or 5432}."


def not_allowed(error: BaseException | None) -> str | None:
    """Return the line when `error` comes from a right that the database user lacks, else None."""
    while error is not None:
        if getattr(error, "sqlstate", None) == INSUFFICIENT_PRIVILEGE:
            place = connection.settings_dict
            return f"DATABASE_URL: the user {place['USER']!r} cannot create tables in {place['NAME']!r}."
        error = error.__cause__ or error.__context__
    return None


def unstorable(error: BaseException, words: Sequence[str]) -> str | None:
    """Return the line when `error` comes from a word of a command line that cannot be stored, else None.

    A zero byte, or half a surrogate pair: what Python makes of bytes that are not UTF-8. The word is counted,
    not repeated: it may be a password.
    """
    if isinstance(error, UnicodeEncodeError | DataError):
        for number, word in enumerate(words, 1):
            try:
                check_characters(word, f"argument {number}")
            except Refusal as refusal:
                return PROBLEMS[refusal.code][1].format(**refusal.values)
    return None
