"""How many jobs may wait, counted exactly whoever asks at once."""

import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection

from ingestion import admission, lifecycle
from ingestion.admission import Refused
from ingestion.models import Job

pytestmark = pytest.mark.django_db(transaction=True)

ROOM, ASKERS = 5, 12


def ask_at_once(users: list[User]) -> list[str]:
    """Start a job from as many threads as users; return what each was told."""
    start, told = threading.Barrier(len(users)), []

    def ask(user: User) -> None:
        try:
            connection.ensure_connection()
            start.wait(20)
            lifecycle.create("ping", {}, owner=user)
            told.append("created")
        except Refused as refused:
            told.append(refused.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=[user]) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return sorted(told)


def test_the_last_place_is_given_once(alice: User, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_QUEUED_PER_USER", ROOM)
    told = ask_at_once([alice] * ASKERS + [bob] * 2)
    assert told == ["created"] * (ROOM + 2) + ["quota_exceeded"] * (ASKERS - ROOM)
    assert Job.objects.filter(owner=alice).count() == ROOM
