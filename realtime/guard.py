"""Who was let in may lose that right: look again, when told at once and every few seconds in any case.

One guard a hub. It trusts no message: what comes in only says whom to look at, the database says the rest.
"""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import Error as DatabaseAway

from realtime import limits
from realtime.credentials import Standing, standings
from realtime.judging import TOGETHER
from realtime.limits import Close
from realtime.sockets import Viewer
from realtime.streams import seen_by_each

if TYPE_CHECKING:
    from realtime.hub import Hub


class Guard:
    """Checks the viewers of one hub against sessions, users, tokens and permissions."""

    def __init__(self, hub: "Hub") -> None:
        self.hub = hub
        self._told_at = -math.inf  # on the monotonic clock: when somebody was last said to be looked at
        self._users: set[int] = set()
        self._everybody = False
        self._wake = asyncio.Event()
        self._doubted: WeakKeyDictionary[Viewer, float] = WeakKeyDictionary()  # since when

    def recheck(self, users: Iterable[int] | None) -> None:
        """Look at these users' viewers soon; None: at all."""
        self._told_at = time.monotonic()
        if users is None:
            self._everybody = True
        else:
            self._users |= self.hub.sockets.keys() & set(users)
        if self._everybody or self._users:
            self._wake.set()

    def admitted(self, viewer: Viewer) -> None:
        """Look at a new viewer at once if its right may have ended since it was judged."""
        if viewer.standing.at <= self._told_at:
            self.recheck([viewer.user.pk])

    async def watch(self) -> None:
        """Look at who is to be looked at, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            everybody, users = self._everybody, self._users
            self._everybody, self._users = False, set()
            try:
                await self._look(self._viewers(None if everybody else users))
                await self.hub.arrivals.look(users)
            except DatabaseAway:
                await asyncio.sleep(limits.RETRY_SECONDS)
                self.recheck(None if everybody else users)
            await asyncio.sleep(limits.RECHECK_SECONDS)  # so that no flood of hints is a flood of queries

    async def sweep(self) -> None:
        """Look at everybody every few seconds, for ever: not every end of a right is told."""
        while True:
            await asyncio.sleep(settings.SESSION_SWEEP_SECONDS)
            try:
                await self._look(self._viewers(None))
            except DatabaseAway:
                continue  # nobody is thrown out because we cannot ask

    def _viewers(self, users: Iterable[int] | None) -> list[Viewer]:
        wanted = self.hub.sockets if users is None else users
        return [
            viewer for user in list(wanted) for viewer in self.hub.sockets.get(user, []) if not viewer.closed
        ]

    async def _look(self, viewers: Collection[Viewer]) -> None:
        if not viewers:
            return
        self.hub.counts["rechecks"] += 1
        credentials = {v.standing.credential for v in viewers if v.standing.credential is not None}
        found = await self.hub.in_database(standings, credentials)
        for viewer in viewers:
            if viewer.standing.credential is not None:
                self._judge(viewer, found[viewer.standing.credential])
        await self._withdraw([viewer for viewer in viewers if not viewer.closed])
        for viewer in viewers:
            if not viewer.closed and time.monotonic() >= viewer.opened_at + limits.LIFETIME_SECONDS:
                self.hub.send_away(viewer)

    def _judge(self, viewer: Viewer, standing: Standing) -> None:
        if standing.user is not None:
            if viewer.asks_again and standing.credential != viewer.standing.credential:
                self.hub.expel(viewer, Close.DRAINING)  # the next request must show the new cookie
            viewer.standing = standing
            self._doubted.pop(viewer, None)
            return
        now = time.monotonic()
        since = self._doubted.setdefault(viewer, now)
        if standing.settled or now >= since + limits.RENEWAL_SECONDS:
            self.hub.expel(viewer, Close.SIGNED_OUT)
        else:
            again = max(0.0, since + limits.RENEWAL_SECONDS - now)
            asyncio.get_running_loop().call_later(again, self.recheck, [viewer.user.pk])

    async def _withdraw(self, viewers: Collection[Viewer]) -> None:
        """Take streams away that their watchers may not see any more: a question a user and kind."""
        by_user: dict[int, list[Viewer]] = defaultdict(list)
        for viewer in viewers:
            by_user[viewer.user.pk].append(viewer)
        everybody = list(by_user.values())
        for start in range(0, len(everybody), TOGETHER):
            some = everybody[start : start + TOGETHER]
            asked = [set().union(*(viewer.streams for viewer in own)) for own in some]
            seen = await self.hub.in_database(seen_by_each, [own[0].user for own in some], asked)
            for own, names, theirs in zip(some, asked, seen, strict=True):
                for viewer in own:
                    for name in (names & viewer.streams) - theirs:
                        self.hub.withdraw(viewer, name)
                if any(viewer.judging for viewer in own):  # their question may be older than what changed
                    self.recheck([own[0].user.pk])
