"""The client's rules: never backwards, never wrong, right at the end; and each rule is needed."""

import random
from copy import deepcopy

import pytest

from realtime.patch import difference
from realtime.reducer import Held, Reducer

HISTORIES = 300
STREAM = "job:x"


class Server:
    """The row: every version it ever had. A restore from a backup goes back and raises the epoch."""

    def __init__(self, luck):
        self.luck = luck
        self.epoch = 0
        self.said = {}  # (epoch, version) -> data
        self.version = 0
        self.write()

    def write(self):
        self.version += 1
        # Few values, so that A-B-A happens; a key comes and goes.
        data = {"a": self.luck.choice("xy"), "b": {"k": self.luck.choice("xy")}}
        if self.luck.random() < 0.3:
            data["c"] = 1
        self.said[self.epoch, self.version] = data

    def restore(self):
        back = self.luck.randint(1, self.version)
        kept = [self.said[self.epoch, version] for version in range(1, back + 1)]
        self.epoch, self.version = self.epoch + 1, back
        self.said |= {(self.epoch, version): data for version, data in enumerate(kept, 1)}

    @property
    def data(self):
        return self.said[self.epoch, self.version]


class Process:
    """A server process: it holds one copy and reads the row now and then."""

    def __init__(self, server):
        self.server = server
        self.held = None

    def read(self, connection):
        """Read the row; the viewer who stands at the copy gets the change."""
        old, self.held = self.held, (self.server.epoch, self.server.version)
        if connection.stands and old and old != self.held:
            if old[0] == self.held[0]:
                patch = difference(self.server.said[old], self.server.data)
                connection.put("change", self, **{"from": old[1]}, data=patch, events=[])
            else:
                connection.put("state", self, data=deepcopy(self.server.data), events=[], why="epoch")

    def answer(self, connection, asked):
        self.read(connection)
        cursor = asked["streams"][0]
        here = {"epoch": self.held[0], "version": self.held[1]}
        connection.stands = True
        if isinstance(cursor, dict) and {k: cursor[k] for k in here} == here:
            connection.put("change", self, id=asked["id"], **{"from": self.held[1]}, data={}, events=[])
        else:
            connection.put(
                "state", self, id=asked["id"], data=deepcopy(self.server.data), events=[], why="new"
            )


class Connection:
    def __init__(self, process):
        self.process = process
        self.stands = False
        self.asked = []
        self.flight = []

    def put(self, kind, process, **more):
        self.flight.append(
            {"type": kind, "stream": STREAM, "epoch": process.held[0], "version": process.held[1], **more}
        )


class Broken(AssertionError):
    """A client showed what the server never said, or went back."""


def history(seed, reducer, *, old_frames=False, restores=True):
    """Play one random history; raise Broken where the client is wrong.

    old_frames: frames of older connections are passed on. restores: backups are restored meanwhile.
    """
    luck = random.Random(seed)
    server = Server(luck)
    processes = [Process(server), Process(server)]
    connections = [Connection(luck.choice(processes))]
    connections[0].asked.append(reducer.ask([STREAM]))

    def deliver(connection, at=0, twice=False):
        if not connection.flight:
            return
        frame = connection.flight[at] if twice else connection.flight.pop(at)
        if connection is not connections[-1] and not old_frames:
            return
        before = deepcopy(reducer.streams[STREAM])
        again = reducer.take(deepcopy(frame))
        check(server, before, reducer.streams[STREAM])
        if again:
            connections[-1].asked.append(reducer.ask(again))

    def serve(connection):
        if connection.asked:
            connection.process.answer(connection, connection.asked.pop(0))

    for _ in range(luck.randint(5, 40)):
        now = connections[-1]
        match luck.randrange(9):
            case 0 | 1:
                server.write()
            case 2:
                luck.choice(processes).read(now) if now.stands else None
            case 3 | 4:
                deliver(now)
            case 5:
                deliver(now, luck.randrange(len(now.flight)) if now.flight else 0, luck.random() < 0.5)
            case 6:
                serve(now)
            case 7:
                deliver(luck.choice(connections))
                if restores and luck.random() < 0.2:
                    server.restore()
            case 8:
                connections.append(Connection(luck.choice(processes)))
                connections[-1].asked.append(reducer.ask([STREAM]))
    settle(server, connections, deliver, serve)
    held = reducer.streams[STREAM]
    if (held.epoch, held.version, held.data) != (server.epoch, server.version, server.data):
        raise Broken(f"at the end {held} instead of {server.epoch, server.version, server.data}")


def settle(server, connections, deliver, serve):
    """Let everything arrive, and then the beat that says where the stream stands."""
    for _ in range(20):
        now = connections[-1]
        serve(now)
        while now.flight:
            deliver(now)
        now.process.read(now)
        if now.stands and not now.asked and not now.flight:
            now.flight.append({"type": "beat", "versions": {STREAM: server.version}})
            deliver(now)


def check(server, before, held):
    if held.data is None:
        return
    if before.epoch == held.epoch and before.version is not None and held.version < before.version:
        raise Broken(f"went back from {before.version} to {held.version}")
    if before.epoch is not None and held.epoch < before.epoch:
        raise Broken(f"went back to before a restore, from {before.epoch} to {held.epoch}")
    if server.said.get((held.epoch, held.version)) != held.data:
        raise Broken(f"shows {held.data} as {held.epoch, held.version}")


@pytest.fixture
def process_of_viewer(monkeypatch):
    """Only the process a connection belongs to may tell it something."""
    original = Process.read
    monkeypatch.setattr(
        Process, "read", lambda self, c: original(self, c if c.process is self else Connection(self))
    )


def test_the_rules_hold_in_every_history(process_of_viewer):
    for seed in range(HISTORIES):
        history(seed, Reducer())


class FromBelow(Reducer):
    """`from <= yours` instead of `from = yours`."""

    def _change(self, held, frame):
        if held.data is not None and held.epoch == frame["epoch"] and frame["from"] < (held.version or 0):
            frame = frame | {"from": held.version}
        return super()._change(held, frame)


class NoVersionRule(Reducer):
    """A state is taken whatever its version."""

    def _whole(self, held, frame):
        held.version = None
        super()._whole(held, frame)


class AnyEpoch(Reducer):
    """A change of another epoch is applied."""

    def _change(self, held, frame):
        return super()._change(held, frame | {"epoch": held.epoch})


def test_without_restores_even_frames_of_older_connections_do_no_harm(process_of_viewer):
    for seed in range(HISTORIES):
        history(seed, Reducer(), old_frames=True, restores=False)


@pytest.mark.parametrize(
    ("rules", "old_frames", "restores"),
    [(NoVersionRule, True, False), (Reducer, True, True)],
    ids=["an older state", "an older connection"],
)
def test_without_a_rule_a_history_breaks(process_of_viewer, rules, old_frames, restores):
    """The negative control: this test would see it."""
    with pytest.raises(Broken):
        for seed in range(10 * HISTORIES):
            history(seed, rules(), old_frames=old_frames, restores=restores)


@pytest.mark.parametrize(("rules", "right"), [(Reducer, True), (FromBelow, False)])
def test_a_change_from_below_would_lose_there_and_back(rules, right):
    """x, y, x again: what differs between the first and the third is nothing, and we stand at the second."""
    reducer = rules()
    reducer.streams[STREAM] = Held(epoch="e", version=2, data={"a": "y"})
    change = {
        "type": "change",
        "stream": STREAM,
        "epoch": "e",
        "from": 1,
        "version": 3,
        "data": {},
        "events": [],
    }

    asked = reducer.take(change)

    held = reducer.streams[STREAM]
    assert ((held.version, held.data["a"]) != (3, "y")) is right
    assert (asked == [STREAM]) is right


@pytest.mark.parametrize(("rules", "right"), [(Reducer, True), (AnyEpoch, False)])
def test_a_change_of_another_epoch_would_mix_two_pasts(rules, right):
    reducer = rules()
    reducer.streams[STREAM] = Held(epoch="e", version=1, data={"a": "x"})
    change = {"type": "change", "stream": STREAM, "epoch": "f", "from": 1, "version": 2}

    asked = reducer.take(change | {"data": {"b": 1}, "events": []})

    assert (reducer.streams[STREAM].data == {"a": "x"}) is right
    assert (asked == [STREAM]) is right


def test_events_are_appended_after_a_cursor_and_replaced_by_a_state():
    reducer = Reducer()
    reducer.streams[STREAM] = Held(epoch="e", version=2, data={}, events=[{"version": 1}, {"version": 2}])
    frame = {"type": "state", "stream": STREAM, "epoch": "e", "data": {}}

    reducer.take(frame | {"version": 4, "why": "behind", "events": [{"version": 4}]})
    assert [event["version"] for event in reducer.streams[STREAM].events] == [1, 2, 4]

    reducer.take(frame | {"version": 5, "why": "too_old", "events": [{"version": 5}]})
    assert [event["version"] for event in reducer.streams[STREAM].events] == [5]


def test_the_end_is_kept_and_nothing_after_it_counts():
    reducer = Reducer()
    reducer.streams[STREAM] = Held(epoch="e", version=2, data={"a": 1})
    reducer.take({"type": "end", "stream": STREAM, "epoch": "e", "version": 2, "data": {"a": 1}})

    assert reducer.streams[STREAM].over
    assert reducer.take({"type": "change", "stream": STREAM, "epoch": "e", "from": 2, "version": 3}) == []
