"""Who may watch what they ask for: all who ask in the same tick are judged together."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from django.db import Error as DatabaseAway

from realtime import limits
from realtime.frames import Cursor
from realtime.sockets import Viewer
from realtime.streams import seen_by_each
from realtime.watched import Newcomer, gone

if TYPE_CHECKING:
    from realtime.hub import Hub

logger = logging.getLogger(__name__)

TOGETHER = 50  # users who are asked about on one turn of a database thread: each turn has its price


class Question(NamedTuple):
    """What a viewer asked for: cursor and request id of each stream.

    judging: the names that still wait for this answer. It is the question's own set: who unsubscribes takes
    names out of it, and may have asked anew meanwhile.
    """

    viewer: Viewer
    asked: dict[str, tuple[Cursor | None, int | None]]
    judging: set[str]


class Judging:
    """The viewers of one hub who wait to be told what they may watch.

    After a restart everybody asks at once: a thread's turn and a question each would hold all of them up.
    """

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._asking: set[Viewer] = set()

    def ask(self, viewer: Viewer) -> None:
        """Judge what this viewer asked for, with the next tick."""
        self._asking.add(viewer)
        self._hub.wake()

    def forget(self, viewer: Viewer) -> None:
        """Judge nothing more for who is gone."""
        self._asking.discard(viewer)

    def tick(self, now: float) -> bool:
        """Ask for everybody who waits; return whether somebody still does."""
        if self._asking and self._hub.database.may_ask("visible", now):
            by_user: dict[int, list[Question]] = defaultdict(list)
            for viewer in [viewer for viewer in self._asking if not viewer.judging]:
                self._asking.discard(viewer)
                viewer.judging = set(viewer.asked)
                by_user[viewer.user.pk].append(Question(viewer, dict(viewer.asked), viewer.judging))
                viewer.asked.clear()
            users = list(by_user.values())
            for start in range(0, len(users), TOGETHER):
                self._hub.spawn(self._judge(users[start : start + TOGETHER]))
        return bool(self._asking)

    async def _judge(self, users: Sequence[Sequence[Question]]) -> None:
        """Answer the questions of these users."""
        names = [set().union(*(question.judging for question in own)) for own in users]
        known = [{name for name in some if len(name) <= limits.STREAM_NAME} for some in names]
        try:
            seen = await self._hub.in_database(seen_by_each, [own[0].viewer.user for own in users], known)
        except DatabaseAway as error:
            self._hub.database.failed("visible")
            self._hub.database.away(error)
            for question in [question for own in users for question in own]:
                self._ask_again(question)
            return
        except Exception:
            if len(users) > 1:  # whoever breaks the question breaks it for themselves alone
                for own in users:
                    await self._judge([own])
            else:
                logger.exception("nobody knows who may watch %s", ", ".join(sorted(known[0])))
                self._answer(users[0], set())
            return
        for own, theirs in zip(users, seen, strict=True):
            self._answer(own, theirs)

    def _ask_again(self, question: Question) -> None:
        viewer, asked, judging = question
        viewer.asked = {name: wanted for name, wanted in asked.items() if name in judging} | viewer.asked
        judging.clear()
        self.ask(viewer)

    def _answer(self, questions: Sequence[Question], seen: set[str]) -> None:
        for viewer, asked, judging in questions:
            for name, (cursor, request) in asked.items():
                if name not in judging:
                    continue  # unsubscribed meanwhile
                if name in seen:
                    self._hub.watching.join(viewer, name, Newcomer(cursor, request))
                else:
                    self._hub.unsubscribe(viewer, [name])
                    self._hub.put(viewer, gone(name, request))
            judging.clear()
            if viewer.asked:
                self.ask(viewer)
