"""Protections that a test can switch off in a running process: of the live wire, and of hosts outside."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

LATEST_HINT = 5.0  # seconds
SLOW_READ = 0.3

Off = Callable[[str], bool]


def apply(off: Off) -> None:
    """Let each protection ask whether it is off. `off`: says so of a name."""
    _hints(off)
    _position_check(off)
    _resume(off)
    _orderly_hints(off)
    _fast_reads(off)
    _one_copy(off)
    _events_in_changes(off)
    _push(off)
    _sweep(off)
    _epoch(off)
    _patience(off)
    _own_time(off)
    _credit(off)
    _pace(off)
    _drain(off)
    _one_read(off)
    _outside_rate(off)
    _host_pause(off)


def _hints(off: Off) -> None:
    """`hints`: none is heard."""
    from realtime.hints import Hints

    hear = Hints._hear

    def deaf(self: Hints, message: Any) -> None:
        if not off("hints"):
            hear(self, message)

    Hints._hear = deaf  # type: ignore[method-assign]


def _position_check(off: Off) -> None:
    """`position_check`: versions are not compared with the database."""
    from realtime.watching import Watching

    check = Watching.check

    async def blind(self: Watching) -> None:
        if not off("position_check"):
            await check(self)

    Watching.check = blind  # type: ignore[method-assign]


def _resume(off: Off) -> None:
    """`resume`: who comes back is told to be current, whatever the cursor says."""
    from realtime.frames import Ready
    from realtime.watched import Newcomer, Watched

    answer = Watched.answer

    def trusting(self: Watched, epoch: str, newcomer: Newcomer) -> Ready | None:
        version = newcomer.version(epoch)
        if version is None or not off("resume"):
            return answer(self, epoch, newcomer)
        return self._frame("change", epoch, newcomer.id, {"from": version}, data={}, events=[])

    Watched.answer = trusting  # type: ignore[method-assign]


def _orderly_hints(off: Off) -> None:
    """`orderly_hints`: a third is lost, a third comes twice, each comes up to 5 s late."""
    from realtime.hints import Hints

    hear = Hints._hear

    def mangled(self: Hints, message: Any) -> None:
        if not off("orderly_hints"):
            hear(self, message)
            return
        loop = asyncio.get_running_loop()
        for _ in range(random.randrange(3)):
            loop.call_later(random.uniform(0, LATEST_HINT), hear, self, message)

    Hints._hear = mangled  # type: ignore[method-assign]


def _fast_reads(off: Off) -> None:
    """`fast_reads`: much may happen between the moment a read shows and the moment it is told."""
    from realtime.database import Database

    ask = Database.ask

    async def slow(self: Database, call: Any, *args: Any, **kwargs: Any) -> Any:
        found = await ask(self, call, *args, **kwargs)
        if call.__name__ == "_read" and off("fast_reads"):
            await asyncio.sleep(SLOW_READ)
        return found

    Database.ask = slow  # type: ignore[method-assign, assignment]


def _one_copy(off: Off) -> None:
    """`one_copy`: newcomers are told what was read before they joined those who stand on the newest copy."""
    from realtime.frames import Ready
    from realtime.watched import Copy, Newcomer, Watched

    take, answer = Watched.take, Watched.answer

    def remember(self: Watched, *args: Any) -> Copy | None:
        old = take(self, *args)
        if old is not None and self.copy is not None and old.version < self.copy.version:
            self.before = old  # type: ignore[attr-defined]
        return old

    def of_before(self: Watched, epoch: str, newcomer: Newcomer) -> Ready | None:
        before = getattr(self, "before", None)
        if before is None or not off("one_copy"):
            return answer(self, epoch, newcomer)
        newest, self.copy = self.copy, before
        try:
            return self._state(epoch, "new", before.events, newcomer.id)
        finally:
            self.copy = newest

    Watched.take = remember  # type: ignore[method-assign]
    Watched.answer = of_before  # type: ignore[method-assign]


def _events_in_changes(off: Off) -> None:
    """`events_in_changes`: a change says what differs in the data alone."""
    from realtime.frames import Ready
    from realtime.watched import Copy, Watched

    change = Watched.change

    def without(self: Watched, epoch: str, old: Copy) -> Ready:
        known = self.known
        if off("events_in_changes"):
            self.known = []
        try:
            return change(self, epoch, old)
        finally:
            self.known = known

    Watched.change = without  # type: ignore[method-assign]


def _push(off: Off) -> None:
    """`push`: nobody is told whom to look at."""
    from realtime.guard import Guard

    recheck = Guard.recheck

    def unheard(self: Guard, users: Any) -> None:
        if not off("push"):
            recheck(self, users)

    Guard.recheck = unheard  # type: ignore[method-assign]


def _sweep(off: Off) -> None:
    """`sweep`: nobody is looked at without a reason."""
    from realtime.guard import Guard

    viewers = Guard._viewers

    def nobody(self: Guard, users: Any) -> Any:
        return [] if users is None and off("sweep") else viewers(self, users)

    Guard._viewers = nobody  # type: ignore[method-assign]


def _epoch(off: Off) -> None:
    """`epoch`: a lower version is an old one, and one epoch lasts for ever."""
    from realtime import watching

    apply, new_epoch = watching.Watching._apply, watching.Watching._new_epoch

    async def forward(self: Any, watched: Any, reading: Any, *rest: Any) -> None:
        if off("epoch") and reading is not None and watched.copy and reading.version < watched.copy.version:
            return
        await apply(self, watched, reading, *rest)

    def same(self: Any, value: str) -> None:
        if not off("epoch"):
            new_epoch(self, value)

    watching.Watching._apply = forward  # type: ignore[method-assign]
    watching.Watching._new_epoch = same  # type: ignore[method-assign]


def _patience(off: Off) -> None:
    """`patience`: who is parked counts as parked for 13 s already, so that no test need wait for it."""
    from realtime.sockets import Socket

    parked_at = Socket.parked_at

    def earlier(self: Socket) -> float | None:
        at = parked_at.__get__(self)
        return at - 13 if at is not None and off("patience") else at

    Socket.parked_at = property(earlier)  # type: ignore[assignment, method-assign]


def _own_time(off: Off) -> None:
    """`own_time`: everybody waits for a client that may be told nothing now."""
    from realtime.sockets import Socket

    put = Socket.put

    def wait_for_it(self: Socket, *args: Any) -> None:
        put(self, *args)
        if off("own_time") and self.parked_at is not None:
            time.sleep(0.5)

    Socket.put = wait_for_it  # type: ignore[method-assign]


def _credit(off: Off) -> None:
    """`credit`: nothing is counted that a client has not acknowledged."""
    from realtime.credit import Credit
    from realtime.frames import Ready

    spend = Credit.spend

    def free(self: Credit, frame: Ready, now: float) -> None:
        if not off("credit"):
            spend(self, frame, now)

    Credit.spend = free  # type: ignore[method-assign]


def _pace(off: Off) -> None:
    """`pace`: a stream is read and told as often as it moves."""
    from realtime.watched import Watched

    due = Watched.due

    def always(self: Watched, now: float) -> bool:
        return (self.moved and off("pace")) or due(self, now)

    Watched.due = always  # type: ignore[method-assign]


def _drain(off: Off) -> None:
    """`drain`: the server stops without a word."""
    from realtime.hub import Hub

    drain = Hub.drain

    async def silent(self: Hub) -> None:
        if not off("drain"):
            await drain(self)

    Hub.drain = silent  # type: ignore[method-assign]


def _one_read(off: Off) -> None:
    """`one_read`: each newcomer is answered by a read of its own."""
    from realtime.watching import Watching

    apply = Watching._apply

    async def one_by_one(self: Any, watched: Any, reading: Any, since: Any, newcomers: Any) -> None:
        if off("one_read") and len(newcomers) > 1:
            (first, *_) = newcomers
            rest = {viewer: newcomer for viewer, newcomer in newcomers.items() if viewer is not first}
            watched.newcomers = rest | watched.newcomers
            newcomers = {first: newcomers[first]}
        await apply(self, watched, reading, since, newcomers)

    Watching._apply = one_by_one  # type: ignore[method-assign]


def _outside_rate(off: Off) -> None:
    """`outside_rate`: whoever wants to ask a host outside has a place at once."""
    from ingestion.outside import OutsideHost

    take = OutsideHost._take_place

    def at_once(self: OutsideHost) -> bool:
        return off("outside_rate") or take(self)

    OutsideHost._take_place = at_once  # type: ignore[method-assign]


def _host_pause(off: Off) -> None:
    """`host_pause`: nobody looks whether a host asked us to stop."""
    from ingestion.outside import OutsideHost

    look = OutsideHost._current_pause

    def blind(self: OutsideHost) -> Any:
        return None if off("host_pause") else look(self)

    OutsideHost._current_pause = blind  # type: ignore[method-assign]
