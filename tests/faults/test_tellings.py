"""P13: whatever breaks a move, and wherever, its people have exactly one row, and it speaks of that move."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import DatabaseError, InterfaceError, connection, transaction

from ingestion import failpoints, notices
from ingestion.failpoints import FailpointHit
from notifications import inbox
from tests.faults.conftest import FULL
from tests.faults.lives import Life
from tests.faults.mover import Mover
from tests.notifications.counting import wrong_counts
from tests.proxy import Proxy
from tests.site import database_address
from tests.waiting import until

BREAKS = 10_000 if FULL else 60
EXITS = 200 if FULL else 8
TELLING = "WITH note AS"  # how the statement that tells begins: the last one before COMMIT
LAST = "job.told.before_commit"
LEAVES = {  # the end of an attempt, as its failpoint names it
    "complete": "completed",
    "partial": "partial",
    "fail": "failed",
    "stop": "cancelled",
    "wait": "waiting",
    "release": "released",
    "try_again": "retry",
    "crash": "crashed",
    "lose": "lost",
    "retry": "create",
}


def points(verb: str) -> list[str]:
    """Return the failpoints on a verb's way."""
    return [LAST, f"job.{LEAVES.get(verb, 'told')}.before_commit"]


@pytest.fixture
def people(transactional_db: None) -> dict[str, User]:
    """Who is told, and who moves the jobs."""
    names = ("owner", "follower", "watcher", "reviewer", "staff")
    found = {name: User.objects.create_user(name, is_staff=name == "watcher") for name in names}
    found["watcher"].user_permissions.add(Permission.objects.get(codename="view_all_jobs"))
    found["reviewer"].groups.add(Group.objects.create(name="reviewers"))
    for source in ("faulty", "ping"):
        inbox.follow(found["watcher"], f"source:{source}")
    return found


@pytest.fixture
def wire(transactional_db: None) -> Iterator[Proxy]:
    """What carries this process's connection to PostgreSQL, to be cut."""
    proxy = Proxy(database_address())
    direct = connection.settings_dict
    connection.close()
    connection.settings_dict = {**direct, "HOST": "127.0.0.1", "PORT": str(proxy.port)}
    yield proxy
    connection.close()
    connection.settings_dict = direct
    until(lambda: not proxy.connections)
    proxy.close()


class Breaker:
    """Breaks a verb at one of its statements, in one of many ways."""

    HOW = ("raise before", "raise after", "cut before", "cut after", "lose the answer", "failpoint")

    def __init__(self, wire: Proxy, chance: random.Random) -> None:
        self.wire, self.chance = wire, chance
        self.statements: Counter[str] = Counter()  # how many each verb makes, as far as is known
        self.broken: Counter[str] = Counter()

    def perform(self, life: Life, verb: str) -> bool:
        """Do a verb and break it; say whether it broke."""
        self.how, self.passed, self.hit = self.chance.choice(self.HOW), 0, False
        self.at = self.chance.randint(1, self.statements[verb] or 4)
        if self.how == "failpoint":
            failpoints.activate(f"{self.chance.choice(points(verb))}=raise")
        try:
            with connection.execute_wrapper(self._count):
                life.perform(verb)
        except (FailpointHit, DatabaseError, InterfaceError):
            self.hit = True
        else:
            self.statements[verb] = max(self.statements[verb], self.passed)
        finally:
            failpoints.activate("")
            if "raise" not in self.how:
                connection.close()
        if self.hit:
            self.broken[self.how] += 1
        return self.hit

    def _count(self, execute: Any, sql: str, *args: Any) -> Any:
        self.passed += 1
        here = self.passed == self.at
        if here and "before" in self.how:
            self._break()
        result = execute(sql, *args)
        if here and "after" in self.how:
            self._break()
        if self.how == "lose the answer" and sql.lstrip().startswith(TELLING):
            self.wire.lose_answers()  # what comes next is COMMIT, and it is heard there
            self.hit = True
        return result

    def _break(self) -> None:
        if "cut" in self.how:
            self.wire.cut()
        else:
            raise FailpointHit(self.how)


def broken(people: dict[str, User], wire: Proxy, most: int, seed: int) -> Iterator[Life]:
    """Break so many verbs of random lives, each then done again; yield the life after each try."""
    chance = random.Random(seed)
    breaker = Breaker(wire, chance)
    while breaker.broken.total() < most:
        life = Life(**people, chance=chance)
        for verb in life.steps():
            if breaker.perform(life, verb):
                yield life
                life.again(verb)
            yield life
    assert not set(Breaker.HOW) - set(breaker.broken), breaker.broken


@pytest.mark.seed("P13")
def test_a_move_that_breaks_anywhere_is_told_once_or_did_not_happen(people, wire):
    for life in broken(people, wire, BREAKS, seed=13):
        assert life.wrong() == []
    assert wrong_counts() == []


@pytest.mark.seed("P13")
def test_a_process_that_ends_anywhere_leaves_nobody_untold_and_nobody_told_twice(people):
    chance = random.Random(13)
    mover = Mover()
    exits = 0
    try:
        while exits < EXITS:
            life = Life(**people, chance=chance)
            for verb in life.steps():
                where: dict[str, Any] = {"statement": chance.randint(1, 8), "after": chance.random() < 0.5}
                if chance.random() < 0.4:
                    where = {"point": chance.choice(points(verb))}
                code = mover.perform(
                    verb=verb, job=life.job.pk, token=life.token, staff=people["staff"].pk, **where
                )
                assert code in (0, failpoints.EXIT_CODE)
                exits += code == failpoints.EXIT_CODE
                assert life.wrong() == []
                if code:
                    life.again(verb)
                    assert life.wrong() == []
    finally:
        mover.close()
    assert wrong_counts() == []


def test_without_one_transaction_a_move_is_told_to_nobody(people, wire, monkeypatch):
    """The control: told after the commit, a move that breaks there is never told."""
    tell = notices.tell
    monkeypatch.setattr(notices, "tell", lambda *args: transaction.on_commit(lambda: tell(*args)))

    assert any(life.wrong() for life in broken(people, wire, 40, seed=13))
