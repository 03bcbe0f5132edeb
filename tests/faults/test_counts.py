"""P14: whatever is told and done at once, and by however many, the count is that of the rows."""

import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from config.statements import execute
from notifications import acting, broadcasts, inbox, keeping, listing
from notifications.listing import Filter
from notifications.models import Inbox, Notification
from notifications.telling import unread
from tests.faults.conftest import FULL
from tests.notifications.counting import wrong_counts

THREADS = 8
EACH = 125 if FULL else 30  # 1,000 in all threads
FEW = 2
EXAMPLES = 20 if FULL else FEW
KEYS = 12  # things that are told of, in one row a user
USERS = ("ann", "ben", "cat")

# What a thread does: a verb, one of the users, a number that chooses rows, keys, versions.
Step = tuple[str, int, int]
SINGLE = ["read", "unread_again", "archive", "restore", "snooze", "wake", "see", "delete"]
BULK = ["read_all", "archive_all", "undo", "delete_read"]
STEPS = st.tuples(
    st.sampled_from(["arrive"] * 6 + ["note"] * 2 + SINGLE * 2 + BULK + ["end_snoozes"]),
    st.integers(0, len(USERS) - 1),
    st.integers(0, 255),
)
PROGRAMS = st.lists(st.lists(STEPS, min_size=EACH, max_size=EACH), min_size=THREADS, max_size=THREADS)


class Crowd:
    """Three users, and threads that tell them and act for them."""

    def __init__(self) -> None:
        User.objects.all().delete()
        self.users = [User.objects.create_user(name) for name in USERS]
        self.shared = broadcasts.broadcast("Everybody").pk
        self.errors: list[BaseException] = []

    def run(self, programs: Sequence[Sequence[Step]]) -> None:
        """Let each program run in a thread, all at once."""
        together = threading.Barrier(len(programs))
        threads = [threading.Thread(target=self._follow, args=(one, together)) for one in programs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _follow(self, program: Sequence[Step], together: threading.Barrier) -> None:
        try:
            together.wait(30)
            for step in program:
                self._do(*step)
        except BaseException as error:
            self.errors.append(error)
        finally:
            connection.close()

    def _do(self, verb: str, who: int, number: int) -> None:
        user = self.users[who]
        if verb == "arrive":  # in a row of its key, for two of them; often late, or again
            others = [user, self.users[(who + number) % len(self.users)]]
            key = f"shelf:{number % KEYS}"
            inbox.notify(others, "system", "News", group_key=key, version=number // KEYS + 1)
        elif verb == "note":
            inbox.notify([user], "system", "A note")
        elif verb == "end_snoozes":
            keeping.end_snoozes()
        elif verb in BULK:
            self._bulk(verb, user)
        else:
            rows = Notification.objects.filter(recipient=user).order_by("-pk")[number % 7 :]
            ids = [*rows.values_list("pk", flat=True)[: number % 5], -self.shared]
            if verb == "snooze":
                acting.snooze(user, ids, timezone.now() + timedelta(seconds=number % 3 - 1))
            else:
                getattr(acting, verb)(user, ids)

    def _bulk(self, verb: str, user: User) -> None:
        if verb == "read_all":
            acting.read(user, Filter("unread"))
        elif verb == "archive_all":
            acting.archive(user, Filter("inbox"))
        elif verb == "delete_read":
            acting.delete(user, Filter("read"))
        else:
            acting.unread_again(user, acting.read(user, Filter("unread")).at)


def shown_wrong(crowd: Crowd) -> list[tuple[str, int, int]]:
    """Return (user, what is shown, what listing finds) where they differ."""
    found = []
    for user in crowd.users:
        rows = listing.entries(user, Filter("unread"), limit=100_000)
        shown = listing.unread_count(user)
        if shown != len(rows):
            found.append((user.username, shown, len(rows)))
    return found


def found_wrong(examples: int) -> list[object]:
    """Let threads do random things, again and again; return what was wrong after any of them.

    Not asserted in between: Hypothesis would try to repeat what no two runs of threads do alike.
    """
    wrong: list[object] = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(PROGRAMS)
    def run(programs: list[list[Step]]) -> None:
        crowd = Crowd()
        crowd.run(programs)
        assert Notification.objects.exists()
        wrong.extend([*crowd.errors, *wrong_counts(), *shown_wrong(crowd)])

    run()
    return wrong


@pytest.mark.seed("P14")
def test_the_count_is_that_of_the_rows_after_eight_threads(transactional_db):
    assert found_wrong(EXAMPLES) == []


def test_without_the_lock_counting_anew_goes_wrong(transactional_db, monkeypatch):
    """The control: count the rows in the transaction that changes them, without the inbox's lock."""

    def close(user_id, at, rows, shared):
        execute(
            f"""
            UPDATE {Inbox._meta.db_table} SET unread = (SELECT count(*) FROM {Notification._meta.db_table} n
                WHERE n.recipient_id = %(user)s AND {unread("n")}) WHERE user_id = %(user)s
            """,
            {"user": user_id},
        )
        return acting.Touched([pk for pk, _ in rows], at)

    monkeypatch.setattr(acting, "_lock", lambda user_id: timezone.now())
    monkeypatch.setattr(acting, "_close", close)

    assert found_wrong(FEW)  # deadlocks as well
