"""Steps: the phases of a run, and two ways to go through many things in one: counted, or item by item."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from django.utils import timezone

from ingestion.items import Item
from ingestion.settings import MAX_ITEMS
from ingestion.worklist import Worklist

if TYPE_CHECKING:
    from ingestion.run import Run

T = TypeVar("T")


class StepHandle:
    """A phase that is being worked on."""

    def __init__(self, run: "Run", name: str, values: Mapping[str, Any]) -> None:
        self.run = run
        self.name = name
        self.label: str = values["label"]
        self.weight: float = values["weight"]
        self.state: str = values.get("state", "pending")
        self.started_at: str | None = values.get("started_at")
        self.finished_at: str | None = values.get("finished_at")
        self.total: int | None = values.get("total")
        self.finished: int = values.get("done", 0)
        self._counting = threading.Lock()  # items may end in several threads
        self._counter: Callable[[], int] | None = None
        self._counts_itself = False

    def enter(self) -> None:
        """Mark the step as running."""
        if self.state != "completed":
            self.state, self.finished_at = "running", None
        self.started_at = self.started_at or timezone.now().isoformat()

    def leave(self) -> bool:
        """Mark the step as completed; return whether it was not so before."""
        new = self.state != "completed"
        self.finished, self._counter = self.count(), None
        self.state, self.finished_at = "completed", self.finished_at or timezone.now().isoformat()
        return new

    def message(self, text: str) -> None:
        """Say what happens now."""
        self.run.message = text

    def count(self) -> int:
        """Return how many units are done; read by the reporter's thread."""
        return self.finished if self._counter is None else self._counter()

    def count_one(self) -> None:
        """Count a unit that has ended, in whatever thread."""
        with self._counting:
            self.finished += 1

    def share(self) -> float:
        """Return the done share of this step, 0 to 1."""
        if self.state == "completed":
            return 1.0
        return min(1.0, self.count() / self.total) if self.total else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the step as the row stores it."""
        return {
            "label": self.label,
            "weight": self.weight,
            "state": self.state,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "done": self.count(),
            "total": self.total,
        }

    def track(self, values: Iterable[T], total: int | None = None) -> Iterator[T]:
        """Count while iterating: no rows, no resume, next to no cost. Cancel is seen at the next checkpoint.

        total: how many there are, when `values` does not know.
        """
        self.finished, self._counts_itself = 0, True
        if isinstance(values, list | tuple | range | dict | set | frozenset):
            size = self.total = len(values)
            iterator = iter(values)
            # The iterator knows what is left; the reporter asks it, the loop pays nothing.
            self._counter = lambda: size - iterator.__length_hint__()  # type: ignore[attr-defined]
            return iterator
        self.total = total
        numbered = enumerate(values)
        self._counter = lambda: int(numbered.__reduce__()[1][1])
        return map(itemgetter(1), numbered)

    def report(self, done: int, total: int | None = None) -> None:
        """Say how many units are done, of how many where that is known; never fewer than before.

        For what no loop over `items` or `track` goes through: in a step with one it raises RuntimeError.
        """
        if self._counts_itself:
            raise RuntimeError("this step counts by itself")
        self.total = self.total if total is None else max(total, 0)
        self.finished = max(self.finished, done)

    def items(
        self,
        values: Iterable[T],
        *,
        key: Callable[[T], Any],
        label: Callable[[T], str] | None = None,
        fetch: Callable[[T], Any] | None = None,
        threads: int = 1,
    ) -> Iterator[Item]:
        """Yield what is left to do, each to be used as `with item:`.

        key: what makes a value the same in every attempt. label: for people. fetch: the slow part, run ahead
        in `threads` threads outside any transaction; its result is `item.fetched`. Failures of an item are
        recorded and the loop goes on; retryable ones are tried again at the end of the pass.
        """
        self._counts_itself = True
        return Worklist(self, key, label, fetch, threads).work(islice(values, MAX_ITEMS + 1))

    def each(
        self,
        values: Iterable[T],
        do: Callable[[T], Any],
        *,
        key: Callable[[T], Any],
        label: Callable[[T], str] | None = None,
        threads: int = 1,
    ) -> None:
        """Do what is left to do, each value as an item whose result is what `do` returns.

        threads: how many are done at once, each in a session of its own and one short transaction, as with
        `items`. They may come in any order, so no two may wait for each other. After a crash it is one.
        """
        self._counts_itself = True
        for _ in Worklist(self, key, label, None, threads, do).work(islice(values, MAX_ITEMS + 1)):
            pass
