"""Who asks for streams at the same time is judged at the same time."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from realtime.streams import kinds, register
from tests.realtime.client import fresh_hub, wire_of
from tests.realtime.noise import noise

pytestmark = pytest.mark.django_db(transaction=True)


async def asked_together(users, visible):
    """Let a socket of each of these ask for a stream in the same tick.

    Returns what each was told, and who was asked about on each turn of a database thread.
    """
    turns = []

    def question(user, keys):
        turns[-1].append(user.username)
        return visible(user, keys)

    with noise() as streams:
        name = streams.make("a")
        register(replace(kinds()["noise"], visible=question))
        async with fresh_hub() as hub, AsyncExitStack() as open_wires:
            wires = [await open_wires.enter_async_context(wire_of(user)) for user in users]
            for wire in wires:
                await wire.hello()
            ask = hub.database.ask

            async def turn(call, *args):
                if call.__name__ == "seen_by_each":
                    turns.append([])
                return await ask(call, *args)

            hub.database.ask = turn
            for viewer in hub.everybody():
                hub.subscribe(viewer, {name: None}, None)
            async with asyncio.timeout(8):
                told = [(await wire.next(stream=name))["type"] for wire in wires]
    return told, turns


async def test_a_question_a_user_on_one_turn_however_many_sockets_ask(alice, bob):
    told, turns = await asked_together([alice, bob, alice, bob, alice], lambda user, keys: set(keys))
    assert told == ["state"] * 5
    assert [sorted(turn) for turn in turns] == [["alice", "bob"]]


async def test_each_is_judged_for_themselves(alice, bob):
    told, _ = await asked_together([alice, bob], lambda user, keys: set(keys) if user == bob else set())
    assert told == ["gone", "state"]


async def test_who_breaks_the_question_breaks_it_for_themselves_alone(alice, bob, caplog):
    def broken(user, keys):
        if user == alice:
            raise ZeroDivisionError
        return set(keys)

    told, _ = await asked_together([bob, alice, bob], broken)
    assert told == ["state", "gone", "state"]
    assert "ZeroDivisionError" in caplog.text
