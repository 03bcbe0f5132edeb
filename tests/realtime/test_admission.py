"""Who comes in: together with others, by one question."""

import asyncio

import pytest
from django.conf import settings

from realtime import hub as hubs
from realtime.credentials import identify
from tests.realtime.client import connect, fresh_hub, in_database, session
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)


async def test_those_who_come_together_are_judged_by_one_question(alice, bob):
    mine, foreign = await in_database(session, alice), await in_database(session, bob)
    asked = []
    async with fresh_hub() as hub:
        ask = hubs.current().database.ask

        async def spy(call, *args, **kwargs):
            if call is identify:
                asked.append(len(args[0]))
                if len(asked) == 1:
                    await until_async(all_wait, what="the others to come")
            return await ask(call, *args, **kwargs)

        async def all_wait():
            return asked[0] + len(hub.door._waiting) == 7

        hub.database.ask = spy
        wires = await asyncio.gather(
            *(connect(*mine) for _ in range(3)),
            *(connect(*foreign) for _ in range(3)),
            connect(f"{settings.SESSION_COOKIE_NAME}={'x' * 32}"),
        )
        welcomes = [await wire.hello() for wire in wires[:6]]
        assert await wires[6].closed() == 4401
        for wire in wires:
            await wire.leave()
    assert len(welcomes) == 6 and sum(asked) == 7 and len(asked) <= 2
