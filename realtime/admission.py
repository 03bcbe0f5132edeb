"""The one door of the live wire: who may come in, whatever the transport."""

import asyncio
import random
import time
from typing import TYPE_CHECKING

from django.db import Error as DatabaseAway

from realtime import limits
from realtime.credentials import Standing, claimed, identify
from realtime.database import Database
from realtime.limits import Close
from realtime.origin import Scope
from realtime.tasks import Tasks

if TYPE_CHECKING:
    from realtime.hub import Hub


AT_ONCE = 20  # more would walk on in step, and hold up a request's turn of the event loop each time


class NotAdmitted(Exception):
    """Somebody may not come in.

    code: why, as a close code. retry_after_ms: when to come again, for who only came too soon.
    """

    def __init__(self, code: Close, retry_after_ms: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after_ms = retry_after_ms


class Door:
    """Asks the database about everybody who stands at the door with one question, then about the next.

    After a restart all come back at once: each for themselves would be a thread and three queries.
    """

    def __init__(self, database: Database, tasks: Tasks) -> None:
        self._database = database
        self._tasks = tasks
        self._waiting: list[tuple[Scope, asyncio.Future[Standing | None]]] = []
        self._serving = False

    async def ask(self, scope: Scope) -> Standing | None:
        """Return where a request's credential stands. Raises what the database raises."""
        answer: asyncio.Future[Standing | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((scope, answer))
        if not self._serving:
            self._serving = True
            self._tasks.spawn(self._serve())
        return await answer

    async def _serve(self) -> None:
        turn: list[tuple[Scope, asyncio.Future[Standing | None]]] = []
        try:
            while self._waiting:
                turn, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
                await self._judge(turn)
        finally:
            self._serving = False
            for _, answer in [*turn, *self._waiting]:
                answer.cancel()  # the hub ends; who has an answer keeps it

    async def _judge(self, turn: list[tuple[Scope, "asyncio.Future[Standing | None]"]]) -> None:
        try:
            found = await self._database.ask(identify, [scope for scope, _ in turn])
        except Exception as error:
            if len(turn) > 1 and not isinstance(error, DatabaseAway):
                for one in turn:  # whoever broke the question breaks it for themselves alone
                    await self._judge([one])
                return
            for _, answer in turn:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), standing in zip(turn, found, strict=True):
            if not answer.done():  # its client may be gone
                answer.set_result(standing)


async def admit_socket(hub: "Hub", scope: Scope) -> Standing:
    """Return by what right a socket is here, if there is room and it does not come too soon.

    Raises NotAdmitted.
    """
    if len(hub.everybody()) >= limits.CONNECTIONS:
        raise NotAdmitted(Close.TOO_MANY, random.randint(*limits.FULL_MS))
    claim, window, now = claimed(scope), hub.arrivals.window, time.monotonic()
    if claim is not None:
        wait = window.wait_ms(claim, now)
        if wait:
            raise NotAdmitted(Close.TOO_MANY, wait)
        window.count(claim, now)
    return await admit(hub, scope)


async def admit(hub: "Hub", scope: Scope) -> Standing:
    """Return by what right a request is here. Raises NotAdmitted."""
    try:
        standing = await hub.door.ask(scope)
    except DatabaseAway:
        # Not signed out, only not to be found out: the client may come back.
        raise NotAdmitted(Close.DRAINING) from None
    if standing is None or standing.user is None:
        raise NotAdmitted(Close.SIGNED_OUT)
    return standing
