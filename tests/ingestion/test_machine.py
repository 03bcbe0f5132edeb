"""A state machine drives the lifecycle against the real database and a model in memory."""

import os
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import FINAL, MOVES, Job, State
from ingestion.source import Outcome
from notifications.models import Inbox

LEAVING = ["finish", "fail", "stop", "wait", "release", "try_again", "rescue"]
ERROR = {"code": "x", "text": "No."}


class Life(RuleBasedStateMachine):
    """One job and its retries; every verb at any time, from who holds the lease and who lost it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []

    @initialize()
    def begin(self) -> None:
        User.objects.filter(username="machine").delete()
        self.owner = User.objects.create_user("machine")
        self.job = lifecycle.create("faulty", {}, owner=self.owner).job
        self.state, self.token, self.lost = State.PENDING, None, [uuid4()]
        self.asked = False
        self.inbox = 1

    def row(self) -> Job:
        return Job.objects.get(pk=self.job.pk)

    def expect(self, state: State, *, token: UUID | None = None) -> None:
        if self.token is not None and token is None:
            self.lost.append(self.token)
        assert state == self.state or state in MOVES[self.state]
        self.state, self.token = state, token

    @rule()
    def start(self) -> None:
        token = uuid4()
        started = lifecycle.start(self.job.pk, worker="w", token=token)
        assert (started is not None) == (self.state == State.PENDING)
        if started is not None:
            self.expect(State.RUNNING, token=token)

    @rule(
        verb=st.sampled_from(["finish", "fail", "stop", "wait", "release", "try_again", "rescue"]),
        held=st.booleans(),
    )
    def leave(self, verb: str, held: bool) -> None:
        token = self.token if held and self.token else self.lost[-1]
        before = self.row()
        done = {
            "finish": lambda: lifecycle.finish(self.job.pk, token, Outcome()),
            "fail": lambda: lifecycle.fail(self.job.pk, token, ERROR),
            "stop": lambda: lifecycle.stop(self.job.pk, token),
            "wait": lambda: lifecycle.wait(self.job.pk, token, "review", "?"),
            "release": lambda: lifecycle.release(self.job.pk, token),
            "try_again": lambda: lifecycle.try_again(self.job.pk, token, ERROR),
            "rescue": lambda: lifecycle.rescue(self.job.pk, token, crashed=True, expired=False),
        }[verb]()
        assert done == (token == self.token)
        after = self.row()
        if not done:
            assert (after.version, after.state) == (before.version, before.state)
            return
        expected = {
            "finish": State.COMPLETED,
            "fail": State.FAILED,
            "stop": State.CANCELLED,
            "wait": State.CANCELLED if self.asked else State.WAITING,
        }.get(verb)
        if expected is None:  # gives the job back, unless that is no longer possible
            expected = State.CANCELLED if self.asked else State.PENDING
            if verb == "try_again" and before.failures >= 3:
                expected = State.FAILED
            if verb == "rescue" and before.crashes >= 2 and not self.asked:
                expected = State.FAILED
        self.expect(expected)
        if expected in (State.WAITING, State.PENDING):
            self.asked = False

    @rule()
    def cancel(self) -> None:
        try:
            lifecycle.cancel(self.job, self.owner)
        except Refused as refused:
            assert (refused.code, self.state in FINAL) == ("already_finished", True)
            return
        if self.state == State.RUNNING:
            self.asked = True
        else:
            self.expect(State.CANCELLED)

    @rule(word=st.sampled_from(["approve", "reject"]))
    def answer(self, word: str) -> None:
        try:
            lifecycle.answer(self.job, word, {}, self.owner)
        except Refused as refused:
            assert refused.code in ("already_answered", "not_waiting")
            assert self.state != State.WAITING
            return
        self.expect(State.PENDING if word == "approve" else State.CANCELLED)

    @rule()
    def retry(self) -> None:
        try:
            child = lifecycle.retry(self.job, self.owner)
        except Refused as refused:
            assert refused.code == ("not_finished" if self.state not in FINAL else "nothing_to_retry")
            return
        assert self.state in (State.PARTIAL, State.FAILED, State.CANCELLED)
        assert child.job.retry_of_id == self.job.pk

    @precondition(lambda self: self.state in FINAL)
    @rule()
    def forget(self) -> None:
        Job.objects.filter(retry_of=self.job.pk).delete()
        lifecycle.delete(self.row(), self.owner)
        self.begin()
        self.seen.clear()

    @invariant()
    def the_row_is_what_the_model_says(self) -> None:
        if not hasattr(self, "job"):
            return
        job = self.row()
        assert job.state == self.state
        assert job.lease_token == self.token
        assert (job.finished_at is not None) == (job.state in FINAL)

    @invariant()
    def versions_only_grow_and_every_number_has_at_most_one_event(self) -> None:
        if not hasattr(self, "job"):
            return
        version = self.row().version
        numbers = list(self.job.events.values_list("version", flat=True))
        assert len(numbers) == len(set(numbers))
        assert max(numbers) <= version
        if self.seen and self.seen[-1][0] == str(self.job.pk):
            assert version >= self.seen[-1][1]
        self.seen.append((str(self.job.pk), version))

    @invariant()
    def the_owners_stream_moves_with_every_move(self) -> None:
        if not hasattr(self, "job"):
            return
        moves = self.job.events.count()
        assert Inbox.objects.get(user=self.owner).version >= moves - 2


Life.TestCase.settings = settings(
    max_examples=300 if os.environ.get("HEADWAY_FAULTS") == "full" else 60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class TestLife(Life.TestCase, TestCase):  # type: ignore[misc]
    """Hypothesis's own test case, each example in a transaction of its own."""
