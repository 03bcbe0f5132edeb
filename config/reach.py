"""Say in one line that the database cannot be reached."""

from django.conf import settings
from django.db import connection


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
