"""A small model of the wire in which anything may be lost, doubled, late or out of order.

One row with its versions, processes that read it now and then, sockets, polls under way, other tabs. `play`
lets a client live through a list of steps and writes down what reached it, so that another client can be
given the same.
"""

from typing import Any

from hypothesis import strategies as st

from realtime.patch import difference
from realtime.reducer import Held, Reducer

JsonObject = dict[str, Any]
Cursor = tuple[str, int] | None

STREAM = "job:x"
LAST = 3  # events in a state for a newcomer
STEPS = {
    "write": 4,  # the row moves
    "hint": 6,  # a process reads it: a hint arrived, or the position check found it
    "deliver": 5,  # the next frame of the socket arrives
    "serve": 5,  # the socket's process answers its oldest subscribe
    "reconnect": 3,
    "poll": 3,  # the client asks over HTTP as well
    "serve a poll": 3,
    "deliver a poll": 3,  # any of those under way: late ones too
    "beat": 1,
    "tab": 3,  # another tab says what it holds: something that was so once
    "an old connection": 4,  # what is still under way on one that was replaced
    "restore": 3,  # a backup, and with it another epoch
}
# Frames of one socket neither double nor change places. A client bears that too, while there is no restore.
WILD = {"double": 2, "swap": 2}

Step = tuple[str, int]


def steps_of(weights: dict[str, int]) -> st.SearchStrategy[list[Step]]:
    """Return a strategy for histories: steps, each with a number from 0 to 5 that chooses."""
    names = [name for name, weight in weights.items() for _ in range(weight)]

    def step(byte: int) -> Step:
        return names[byte * len(names) // 256], byte % 6

    return st.binary(min_size=30, max_size=100).map(lambda code: [step(byte) for byte in code])


class Broken(AssertionError):
    """A client showed what the server never said, went back, or was wrong at the end."""


class Row:
    """The truth: every version there ever was, of every epoch."""

    def __init__(self) -> None:
        self.epoch, self.version = 0, 0
        self.said: dict[tuple[str, int], tuple[JsonObject, list[JsonObject]]] = {}
        self.write(0)

    @property
    def here(self) -> tuple[str, int]:
        return f"e{self.epoch}", self.version

    def write(self, n: int) -> None:
        """Add a version. Few values, so that A-B-A happens; a key comes and goes; some are events."""
        _, events = self.said.get(self.here, ({}, []))
        self.version += 1
        data: JsonObject = {"a": "xy"[n % 2], "b": {"k": "xy"[n // 2 % 2]}}
        if n == 5:
            data["c"] = 1
        if n % 2:
            events = [*events, {"version": self.version}]
        self.said[self.here] = data, events

    def restore(self, n: int) -> None:
        kept = [self.said[f"e{self.epoch}", version] for version in range(1, max(1, self.version - n) + 1)]
        self.epoch, self.version = self.epoch + 1, len(kept)
        for version, what in enumerate(kept, 1):
            self.said[f"e{self.epoch}", version] = what

    def state(self, why: str, at: tuple[str, int]) -> JsonObject:
        data, events = self.said[at]
        return frame("state", at, data=data, events=events[-LAST:], why=why)

    def change(self, old: tuple[str, int], new: tuple[str, int]) -> JsonObject:
        (before, _), (after, events) = self.said[old], self.said[new]
        news = [event for event in events if event["version"] > old[1]]
        return frame("change", new, data=difference(before, after), events=news) | {"from": old[1]}

    def answer(self, cursor: Cursor, n: int, *, empty: bool) -> JsonObject | None:
        """Return what somebody who stands at a cursor is told."""
        here = self.here
        if cursor is None or cursor[0] != here[0] or cursor[1] > here[1]:
            return self.state("new" if cursor is None else "epoch", here)
        if cursor == here:
            return self.change(here, here) if empty else None
        if n % 2:
            return self.change(cursor, here)
        data, events = self.said[here]
        news = [event for event in events if event["version"] > cursor[1]]
        return frame("state", here, data=data, events=news, why="behind")


def frame(kind: str, at: tuple[str, int], **more: Any) -> JsonObject:
    return {"type": kind, "stream": STREAM, "epoch": at[0], "version": at[1], **more}


class Socket:
    """A connection: what the client asked, what is under way to it, where its process stands."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.stands = False  # it was answered, and is told of changes
        self.asked: list[JsonObject] = []
        self.flight: list[JsonObject] = []


class World:
    """The row, two processes, a client, and what lies between them."""

    def __init__(self, client: Reducer) -> None:
        self.client = client
        self.row = Row()
        self.held: list[tuple[str, int] | None] = [None, None]  # by process
        self.sockets: list[Socket] = []
        self.polls: list[JsonObject] = []
        self.ops: list[JsonObject] = []
        self.before: Held | None = None
        self.connect(0)

    @property
    def socket(self) -> Socket:
        return self.sockets[-1]

    # --- the client, written down

    def connect(self, n: int) -> None:
        self.sockets.append(Socket(n % 2))
        self.ask()

    def ask(self) -> None:
        asked = self.client.ask([STREAM])
        self.socket.asked.append(asked)
        self.ops.append({"ask": [STREAM], "gives": asked})

    def take(self, one: JsonObject) -> None:
        self.told({"take": one}, self.client.take(one))

    def told(self, op: JsonObject, again: list[str]) -> None:
        held = self.client.streams[STREAM]
        self.ops.append({**op, "again": again, "holds": holds(held)})
        check(self.row.said, self.before, held)
        self.before = Held(held.epoch, held.version)
        if again:
            self.ask()

    # --- the server

    def read(self, process: int) -> None:
        """A process reads the row; who stands at its copy gets the change, or all of it after a restore."""
        old, self.held[process] = self.held[process], self.row.here
        if self.socket.stands and self.socket.process == process and old not in (None, self.row.here):
            assert old is not None
            same = old[0] == self.row.here[0]
            self.socket.flight.append(
                self.row.change(old, self.row.here) if same else self.row.state("epoch", self.row.here)
            )

    def serve(self, n: int) -> None:
        if not self.socket.asked:
            return
        self.read(self.socket.process)
        asked = self.socket.asked.pop(0)
        cursor = cursor_of(asked["streams"][0])
        # A socket is never told a change of its own: everybody stands where the process stands.
        answer = self.row.answer(cursor, 0, empty=True)
        assert answer is not None
        self.socket.flight.append(answer | {"id": asked["id"]})
        self.socket.stands = True

    # --- steps

    def step(self, name: str, n: int) -> None:
        flight = self.socket.flight
        match name:
            case "write":
                self.row.write(n)
            case "hint":
                self.read(n % 2)
            case "serve":
                self.serve(n)
            case "deliver" if flight:
                self.take(flight.pop(0))
            case "double" if flight:
                self.take(flight[n % len(flight)])
            case "swap" if flight:
                self.take(flight.pop(n % len(flight)))
            case "reconnect":
                self.connect(n)
            case "an old connection":
                old = self.sockets[n % len(self.sockets)]
                if old is not self.socket and old.flight:
                    self.old(old.flight.pop(0))
            case "beat" if self.socket.stands and self.held[self.socket.process]:
                self.take(self.beat())
            case "tab":
                versions = sorted(self.row.said)
                self.take(self.row.state("tab", versions[n * len(versions) // 6]))
            case "restore":
                self.row.restore(n)
            case _ if "poll" in name:
                self.poll(name, n)

    def old(self, one: JsonObject) -> None:
        """A frame of an older connection: whoever owns the sockets ignores it."""
        self.ops.append({"old": one})

    def beat(self) -> JsonObject:
        at = self.held[self.socket.process]
        assert at is not None
        return {"type": "beat", "versions": {STREAM: at[1]}}

    def poll(self, name: str, n: int) -> None:
        served = [poll for poll in self.polls if "frames" in poll]
        waiting = [poll for poll in self.polls if "frames" not in poll]
        if name == "poll":
            held = self.client.streams[STREAM]
            cursor = None if held.epoch is None else (held.epoch, held.version)
            number = sum("poll" in op for op in self.ops)
            self.ops.append({"poll": number})
            self.polls.append({"n": number, "cursor": cursor, "generation": self.client.generation})
        elif name == "serve a poll" and waiting:
            poll = waiting[n % len(waiting)]
            told = self.row.answer(poll["cursor"], n, empty=False)
            poll["frames"] = [] if told is None else [told]
        elif name == "deliver a poll" and served:
            poll = served[n % len(served)]
            self.polls.remove(poll)
            again = self.client.answer(poll["generation"], poll["frames"])
            self.told({"answer": poll["n"], "frames": poll["frames"]}, again)

    def settle(self) -> None:
        """Let everything arrive, late polls last, and then the beat that says where the stream stands."""
        for _ in range(20):
            while self.socket.asked:
                self.serve(0)
            while self.socket.flight:
                self.take(self.socket.flight.pop(0))
            if self.socket.asked:
                continue
            if self.polls:
                self.poll("serve a poll", 0)
                self.poll("deliver a poll", 0)
                continue
            self.read(self.socket.process)
            if self.socket.flight:
                continue
            self.take(self.beat())
            if not self.socket.asked:
                break


def cursor_of(asked: Any) -> Cursor:
    return (asked["epoch"], asked["version"]) if isinstance(asked, dict) else None


def holds(held: Held) -> list[Any]:
    """Return what is compared after every step."""
    return [held.epoch, held.version, held.data, [event["version"] for event in held.events]]


def check(said: dict[tuple[str, int], Any], before: Held | None, held: Held) -> None:
    """Raise Broken where a client is wrong now."""
    if held.data is None or held.epoch is None or held.version is None:
        return
    if before is not None and before.epoch is not None and before.version is not None:
        if before.epoch == held.epoch and held.version < before.version:
            raise Broken(f"went back from {before.version} to {held.version}")
        if int(held.epoch[1:]) < int(before.epoch[1:]):
            raise Broken(f"went back to before a restore, from {before.epoch} to {held.epoch}")
    data, events = said.get((held.epoch, held.version), (None, []))
    if data != held.data:
        raise Broken(f"shows {held.data} as {held.epoch, held.version}")
    shown = [event["version"] for event in held.events]
    if shown != [event["version"] for event in events][len(events) - len(shown) :]:
        raise Broken(f"shows the events {shown} of {events} as {held.epoch, held.version}")


def play(steps: list[Step], client: Reducer | None = None) -> JsonObject:
    """Let a client live through steps, and return the history: what reached it and what it held.

    Raises Broken where the client is wrong meanwhile, or not equal to the row at the end.
    """
    world = World(client if client is not None else Reducer())
    for name, n in steps:
        world.step(name, n)
    world.settle()
    held = world.client.streams[STREAM]
    if (held.epoch, held.version) != world.row.here:
        raise Broken(f"at the end {held} instead of {world.row.here}")
    said = {f"{epoch}/{version}": list(what) for (epoch, version), what in world.row.said.items()}
    return {"said": said, "ops": world.ops}


def replay(history: JsonObject, client: Reducer, *, strict: bool = True, old_frames: bool = False) -> None:
    """Give a client what a history says, and raise Broken where it is wrong. The same as in replay.js.

    strict: it must also ask for and hold exactly what is written down. old_frames: frames of older
        connections are given to it too.
    """
    said = {
        (epoch, int(version)): what
        for name, what in history["said"].items()
        for epoch, version in [name.split("/")]
    }
    polls: dict[int, int] = {}
    before: Held | None = None
    for number, op in enumerate(history["ops"]):
        given: Any = None
        if "ask" in op:
            given = client.ask(op["ask"])
            if strict and given != op["gives"]:
                raise Broken(f"step {number}: asks for {given}")
            continue
        if "poll" in op:
            polls[op["poll"]] = client.generation
            continue
        if "take" in op:
            given = client.take(op["take"])
        elif "answer" in op:
            given = client.answer(polls[op["answer"]], op["frames"])
        elif old_frames:
            client.take(op["old"])
        held = client.streams[STREAM]
        check(said, before, held)
        before = Held(held.epoch, held.version)
        if strict and "holds" in op and (given, holds(held)) != (op["again"], op["holds"]):
            raise Broken(f"step {number}: asks for {given} and holds {holds(held)}")
