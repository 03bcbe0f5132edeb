"""Whoever listens to the database for the answer, and what must be true of everything it was told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from ingestion.listener import NAME
from ingestion.models import System

LAST_WORD = "that was all"
HEARD_WITHIN = 20.0  # seconds


class Ear:
    """Hears a channel of the database from a session of its own."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.raw: Any = psycopg.connect(**_address(), autocommit=True)
        self.raw.execute(f"LISTEN {channel}")

    def payloads(self) -> list[str]:
        """Return what was said since the last call, in order."""
        # They come in the order of the commits: whatever was said before this word has come when it comes.
        self.raw.execute("SELECT pg_notify(%s, %s)", [self.channel, LAST_WORD])
        found: list[str] = []
        for one in self.raw.notifies(timeout=HEARD_WITHIN):
            if one.payload == LAST_WORD:
                return found
            found.append(one.payload)
        raise AssertionError(f"not even our own word was heard, only {found}")


class Told:
    """What was pushed so far."""

    def __init__(self, ear: Ear) -> None:
        self.ear = ear
        self.answers: list[bool | None] = []

    def hear(self) -> list[bool | None]:
        """Return every answer so far. Each differs from the one before it."""
        self.answers += [json.loads(text)["stable"] for text in self.ear.payloads()]
        pairs = zip(self.answers, self.answers[1:], strict=False)
        assert all(one != other for one, other in pairs), self.answers
        return self.answers


@contextmanager
def listening(channel: str = "system_stability") -> Iterator[Ear]:
    """Listen for a while."""
    ear = Ear(channel)
    try:
        yield ear
    finally:
        ear.raw.close()


def ears() -> int:
    """Return how many keepers listen by now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state = 'idle'"
            " AND datname = current_database() AND query NOT LIKE 'SET %%'",  # LISTEN comes after that
            [NAME],
        )
        return int(cursor.fetchone()[0])


def answer_of_the_database() -> bool:
    """Return whether nothing is active, asked without the function and the index that are under test."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) = 0 FROM ingestion_job WHERE state = 'running' OR"
            " (state = 'pending' AND pending_reason = ANY (ARRAY['queue', 'slot', 'retry']))"
        )
        return bool(cursor.fetchone()[0])


def row() -> bool | None:
    """Return the answer that is kept."""
    return System.objects.values_list("stable", flat=True).first()


def _address() -> dict[str, Any]:
    known = connection.settings_dict
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    return {name: known[key] for name, key in names.items() if known[key]}
