"""A right that ends closes what is open: told within 1 s, found by the sweep when nobody tells (P18, F12)."""

import asyncio
from datetime import timedelta

import pytest
from django.conf import settings as configured
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.utils import timezone

from ingestion import tokens
from ingestion.models import Job
from notifications import inbox
from realtime import limits
from realtime import publish as door
from realtime.limits import Close
from realtime.models import Session
from tests.realtime.client import connect, fresh_hub, heard, in_database, standing_of, wire_of
from tests.realtime.rows import make_job
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "Another 5ecret"
PUSH_SECONDS = 4.0  # a hang guard, 4 x the figure of the push
User = get_user_model()


@pytest.fixture(autouse=True)
def no_sweep(settings, monkeypatch):
    """Let nothing but a push end anything; tests of the sweep say otherwise."""
    settings.SESSION_SWEEP_SECONDS = 3600
    monkeypatch.setattr(door, "_skip_until", 0.0)


@pytest.fixture
def swept(settings):
    settings.SESSION_SWEEP_SECONDS = 0.2


class Browser:
    """A signed-in browser: a session with its cookies, and as many sockets as it likes."""

    def __init__(self, user):
        self.client = Client()
        self.client.force_login(user)

    @property
    def cookie(self):
        cookies = self.client.cookies | {configured.CSRF_COOKIE_NAME: "a" * 32}
        return "; ".join(f"{name}={getattr(morsel, 'value', morsel)}" for name, morsel in cookies.items())

    async def open(self, *streams):
        wire = await connect(self.cookie, "a" * 32)
        await wire.hello(*streams)
        for _ in streams:
            await wire.next("state")
        return wire


async def leave(*wires):
    for wire in wires:
        await wire.leave()


async def pushed(wire):
    async with asyncio.timeout(PUSH_SECONDS):
        return await wire.closed()


async def answers(wire):
    """Say whether a socket is open: it answers."""
    await wire.say({"type": "ack", "id": 1})
    return (await wire.next("beat"))["id"] == 1


async def looks(hub, count):
    """Wait until the guard has looked so many more times."""
    after = hub.counts["rechecks"] + count

    async def looked():
        return hub.counts["rechecks"] >= after

    await until_async(looked, what="the guard to look")


@pytest.mark.seed("SEC15")
async def test_signing_out_closes_every_socket_of_that_session_and_no_other(alice):
    here, there = await in_database(Browser, alice), await in_database(Browser, alice)
    async with fresh_hub() as hub:
        await heard(hub)
        first, second, other = await here.open(), await here.open(), await there.open()
        assert (await in_database(here.client.post, "/signout/")).status_code == 200

        assert await pushed(first) == await pushed(second) == Close.SIGNED_OUT
        assert await answers(other)
        assert (await connect(here.cookie, "a" * 32)).close_code is None  # accepted first, judged then
        await leave(first, second, other)


@pytest.mark.seed("SEC15")
async def test_a_flushed_session_closes_its_socket(alice):
    browser = await in_database(Browser, alice)
    async with fresh_hub() as hub:
        await heard(hub)
        wire = await browser.open()
        await in_database(browser.client.session.flush)
        assert await pushed(wire) == Close.SIGNED_OUT
        await leave(wire)


@pytest.mark.seed("SEC16")
async def test_a_session_deleted_behind_our_back_is_found_by_the_sweep(alice, swept):
    browser = await in_database(Browser, alice)
    async with fresh_hub():
        wire = await browser.open()
        await in_database(run_sql, "DELETE FROM realtime_session")
        assert await wire.closed() == Close.SIGNED_OUT
        await leave(wire)


@pytest.mark.seed("SEC19")
async def test_a_session_that_is_over_is_found_by_the_sweep(alice, swept):
    browser = await in_database(Browser, alice)
    async with fresh_hub():
        wire = await browser.open()
        over = timezone.now() - timedelta(seconds=1)
        await in_database(Session.objects.update, expire_date=over)
        assert await wire.closed() == Close.SIGNED_OUT
        await leave(wire)


def deactivate(user):
    user.is_active = False
    user.save()


def leave_for_good(user):
    client = Client()
    client.force_login(user)
    form = {"username": user.get_username(), "current": "alice's secret"}
    assert client.post("/account/delete/", form).status_code == 200


@pytest.mark.seed("SEC17", "SEC80")
@pytest.mark.parametrize("end", [deactivate, User.delete, leave_for_good])
async def test_a_user_who_is_deactivated_or_deleted_is_out_everywhere(alice, bob, end):
    here, there = await in_database(Browser, alice), await in_database(Browser, alice)
    _, token = await in_database(tokens.create, alice, "t")
    async with fresh_hub() as hub, wire_of(bob) as bobs:
        await heard(hub)
        await bobs.hello()
        program = await connect(origin=None, headers=[(b"authorization", f"Bearer {token}".encode())])
        await program.say({"type": "hello"})
        wires = [await here.open(), await there.open(), program]
        await in_database(end, alice)

        assert [await pushed(wire) for wire in wires] == [Close.SIGNED_OUT] * 3
        assert await answers(bobs)
        await leave(*wires)


async def test_a_user_deactivated_by_a_querysets_update_is_found_by_the_sweep(alice, swept):
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello()
        await in_database(User.objects.update, is_active=False)
        assert await wire.closed() == Close.SIGNED_OUT


def make_staff(user):
    user.is_staff = True
    user.save()


def change_password(browser):
    answer = browser.client.post(
        "/admin/password_change/",
        {
            "old_password": "alice's secret",
            "new_password1": "Another 5ecret",
            "new_password2": "Another 5ecret",
        },
    )
    assert answer.status_code == 302, answer.content.decode()


@pytest.mark.seed("SEC18")
async def test_a_new_password_ends_the_other_sessions_and_not_its_own(alice):
    await in_database(make_staff, alice)
    own, other = await in_database(Browser, alice), await in_database(Browser, alice)
    async with fresh_hub() as hub:
        await heard(hub)
        mine, mine_too, theirs = await own.open(), await own.open(), await other.open()
        before = own.cookie
        await in_database(change_password, own)
        assert own.cookie != before

        assert await pushed(theirs) == Close.SIGNED_OUT
        hub.guard.recheck(None)
        await looks(hub, 1)
        assert await answers(mine) and await answers(mine_too)
        # The way back is open to the new cookie alone.
        assert await answers(await own.open())
        stolen = await connect(before, "a" * 32)
        assert await stolen.closed() == Close.SIGNED_OUT
        # And the socket that stayed ends with the session under its new key.
        await in_database(own.client.post, "/signout/")
        assert await pushed(mine) == Close.SIGNED_OUT
        await leave(mine, mine_too, theirs, stolen)


@pytest.mark.seed("SEC18")
async def test_a_password_set_by_somebody_else_ends_all_sessions(alice):
    browser = await in_database(Browser, alice)
    async with fresh_hub() as hub:
        await heard(hub)
        wire = await browser.open()
        alice.set_password("set by an admin")
        await in_database(alice.save)
        assert await pushed(wire) == Close.SIGNED_OUT
        await leave(wire)


@pytest.mark.seed("SEC59")
async def test_a_revoked_token_closes_its_socket_and_not_those_of_others(alice):
    rows = [await in_database(tokens.create, alice, name) for name in "ab"]
    async with fresh_hub() as hub, wire_of(alice) as page:
        await heard(hub)
        await page.hello()
        wires = []
        for _, token in rows:
            wire = await connect(origin=None, headers=[(b"authorization", f"Bearer {token}".encode())])
            await wire.say({"type": "hello"})
            wires.append(wire)
        await in_database(tokens.revoke, [rows[0][0]])

        assert await pushed(wires[0]) == Close.SIGNED_OUT
        assert await answers(wires[1]) and await answers(page)
        await leave(*wires)


async def test_a_token_that_is_over_is_found_by_the_sweep(alice, swept):
    row, token = await in_database(tokens.create, alice, "t")
    async with fresh_hub():
        wire = await connect(origin=None, headers=[(b"authorization", f"Bearer {token}".encode())])
        await wire.say({"type": "hello"})
        await in_database(type(row).objects.update, expires_at=timezone.now())
        assert await wire.closed() == Close.SIGNED_OUT
        await leave(wire)


@pytest.mark.seed("SEC20")
async def test_a_stream_that_may_not_be_seen_any_more_is_gone_and_silent(alice, bob):
    shared, own = await in_database(make_job, alice), await in_database(make_job, bob)
    await in_database(inbox.follow, bob, shared.stream)
    async with fresh_hub() as hub, wire_of(bob) as wire:
        await heard(hub)
        await wire.hello(shared.stream, own.stream)
        for _ in range(2):
            await wire.next("state")
        await in_database(inbox.unfollow, bob.pk, shared.stream)

        async with asyncio.timeout(PUSH_SECONDS):
            gone = await wire.next("gone")
        assert (gone["stream"], gone["code"]) == (shared.stream, "not_found")
        for job in (shared, own):
            await in_database(move, job)
        assert (await wire.next("change", "state", "gone"))["stream"] == own.stream
        assert list(hub.watched) == [own.stream]


def grant(user):
    user.is_staff = True
    user.save()
    user.user_permissions.add(view_all())


def view_all():
    return Permission.objects.get(codename="view_all_jobs", content_type__app_label="ingestion")


def grant_by_group(user):
    group = Group.objects.create(name="operators")
    group.permissions.add(view_all())
    user.is_staff = True
    user.save()
    user.groups.add(group)


LOSSES = {
    "the permission": (grant, lambda user: user.user_permissions.remove(view_all())),
    "all permissions": (grant, lambda user: user.user_permissions.clear()),
    "the permission's users": (grant, lambda user: view_all().user_set.remove(user)),
    "being staff": (grant, lambda user: (setattr(user, "is_staff", False), user.save())),
    "the group": (grant_by_group, lambda user: user.groups.clear()),
    "the group's users": (grant_by_group, lambda user: Group.objects.get().user_set.remove(user)),
    "the group's permission": (grant_by_group, lambda user: Group.objects.get().permissions.clear()),
    "the group itself": (grant_by_group, lambda user: Group.objects.get().delete()),
}


@pytest.mark.seed("SEC20")
@pytest.mark.parametrize("what", LOSSES)
async def test_a_lost_permission_takes_the_stream(alice, bob, what):
    give, take = LOSSES[what]
    job = await in_database(make_job, alice)
    await in_database(give, bob)
    bob_now = await in_database(User.objects.get, pk=bob.pk)
    async with fresh_hub() as hub, wire_of(bob_now) as wire:
        await heard(hub)
        await wire.hello(job.stream)
        await wire.next("state")
        await in_database(take, bob_now)

        async with asyncio.timeout(PUSH_SECONDS):
            assert (await wire.next("gone"))["stream"] == job.stream
        # The permissions that a user object remembers are not asked either.
        await wire.say({"type": "subscribe", "id": 3, "streams": [job.stream]})
        assert (await wire.next("gone", "state"))["id"] == 3


@pytest.mark.seed("SEC20")
async def test_a_permission_taken_by_sql_is_found_by_the_sweep(alice, bob, swept):
    job = await in_database(make_job, alice)
    await in_database(inbox.follow, bob, job.stream)
    async with fresh_hub(), wire_of(bob) as wire:
        await wire.hello(job.stream)
        await wire.next("state")
        await in_database(run_sql, "DELETE FROM notifications_follow")
        assert (await wire.next("gone"))["stream"] == job.stream


@pytest.mark.seed("SEC21")
async def test_a_socket_of_24_hours_is_sent_away_and_comes_back(alice, swept, monkeypatch):
    monkeypatch.setattr(limits, "LIFETIME_SECONDS", 0.5)
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello()
        assert (await wire.next("drain"))["after_ms"] < limits.DRAIN_MS
        assert await wire.closed() == Close.DRAINING


async def test_a_sign_out_between_judgement_and_entry_is_not_missed(alice):
    """The hint may come before the socket is there to be found."""
    browser = await in_database(Browser, alice)
    async with fresh_hub() as hub:
        await heard(hub)
        standing = await in_database(lambda: hub_standing(browser))
        await in_database(browser.client.session.flush)
        hub.guard.recheck([alice.pk])  # as the hint does
        closed = asyncio.Event()
        socket = await silent_socket(standing, closed)
        hub.add(socket)
        await asyncio.wait_for(closed.wait(), PUSH_SECONDS)
        hub.remove(socket)


async def test_one_look_asks_a_fixed_number_of_questions_for_everybody(alice, bob):
    from django.test.utils import CaptureQueriesContext

    from realtime.credentials import standings

    def credentials(count):
        users = [alice, bob]
        rows = [standing_of(users[n % 2]).credential for n in range(count)]
        keys = [tokens.create(users[n % 2], "t")[0].pk for n in range(count)]
        return rows + [type(rows[0])("token", str(key)) for key in keys]

    def count(many):
        asked = credentials(many)
        with CaptureQueriesContext(connection) as queries:
            found = standings(asked)
        assert len(found) == 2 * many and all(standing.user for standing in found.values())
        return len(queries)

    assert await in_database(count, 1) == await in_database(count, 10) == 3


async def test_nobody_is_thrown_out_because_the_database_is_away(alice, monkeypatch, swept):
    from django.db import OperationalError

    from realtime import guard

    asked = []

    def away(credentials):
        asked.append(credentials)
        raise OperationalError("away")

    async with fresh_hub() as hub, wire_of(alice) as wire:
        await wire.hello()
        monkeypatch.setattr(guard, "standings", away)
        hub.guard.recheck(None)

        async def asked_twice():
            return len(asked) > 2

        await until_async(asked_twice, what="two tries")
        assert await answers(wire)


@pytest.mark.seed("SEC57", "SEC58")
@pytest.mark.parametrize(
    "message",
    [
        {"type": "recheck", "users": "all"},
        {"type": "recheck", "users": [None, {"a": 1}]},
        {"type": "recheck", "users": [2**63, -1, 0]},
        {"type": "recheck", "users": None},
        {"type": "websocket.close", "code": 4401},
        {"type": "expel"},
        {"type": "recheck"},
        ["recheck"],
    ],
    ids=str,
)
async def test_a_forged_message_makes_the_hub_look_and_nothing_else(alice, message):
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub, wire_of(alice) as wire:
        await heard(hub)
        await wire.hello(job.stream)
        await wire.next("state")
        for _ in range(50):
            await in_database(door._tell, door.ACCESS, message)
        await in_database(move, job)
        assert (await wire.next("change", "gone"))["type"] == "change"
        assert await answers(wire)
        assert hub.counts["rechecks"] < 20


def hub_standing(browser):
    from realtime.credentials import Credential, standings

    credential = Credential("session", browser.client.session.session_key)
    return standings([credential])[credential]


async def silent_socket(standing, closed):
    from realtime.sockets import Socket

    async def send(text):
        raise AssertionError(text)

    async def close(code):
        assert code == Close.SIGNED_OUT
        closed.set()

    return Socket(standing, send, close)


def move(job):
    row = Job.objects.get(pk=job.pk)
    row.version += 1
    row.save(update_fields=["version"])
    door.publish(job.stream, row.version, urgent=True)


def run_sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_change_that_takes_nothing_away_tells_nobody(alice, monkeypatch):
    told = []
    monkeypatch.setattr(door, "_tell", lambda group, message: told.append(message))
    Client().force_login(alice)  # writes `last_login`, and a session
    assert told == []
    alice.save()
    assert told == [{"type": "recheck", "users": [alice.pk]}]


def test_more_users_than_a_message_holds_are_everybody(alice, monkeypatch):
    told = []
    monkeypatch.setattr(door, "_tell", lambda group, message: told.append(message["users"]))
    for users in ([], range(100), range(101), None):
        door.recheck(users)
    assert told == [list(range(100)), None, None]


async def test_a_look_at_many_users_takes_two_turns_of_a_database_thread(alice, bob):
    """One for their sessions, one for what they watch: each turn has its price, and a sweep looks at all."""
    async with fresh_hub() as hub:
        wires = [await (await in_database(Browser, user)).open(f"user:{user.pk}") for user in (alice, bob)]
        turns = []
        ask = hub.database.ask

        async def counting(call, *arguments):
            turns.append(call.__name__)
            return await ask(call, *arguments)

        hub.database.ask = counting
        await hub.guard._look(hub.everybody())
        hub.database.ask = ask
        assert [name for name in turns if name in ("standings", "seen_by_each")] == [
            "standings",
            "seen_by_each",
        ]
        await leave(*wires)
