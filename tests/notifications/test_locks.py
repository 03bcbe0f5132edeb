"""Who tells and who acts at the same moment wait for each other in one order, and never in a circle."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from ingestion.models import Job
from notifications import inbox
from notifications.models import Inbox, Notification
from tests.pages import rows
from tests.sessions import waiting_for_locks
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def alongside(work: Callable[[], object]) -> Iterator[None]:
    """Let a thread do it meanwhile; it must not fail."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)
    assert errors == [] and not thread.is_alive()


def test_inboxes_that_are_not_there_are_made_before_any_is_locked(alice, bob, counted):
    """Otherwise who makes them holds what somebody else waits for who has made one."""
    inbox.touch([alice.pk])
    with ExitStack() as after, transaction.atomic():
        inbox.touch([bob.pk])  # made, and not there for others yet
        after.enter_context(alongside(lambda: inbox.notify([alice, bob], "system", "News")))
        until(lambda: waiting_for_locks() == 1)
        Inbox.objects.select_for_update(nowait=True).get(pk=alice.pk)
    assert Notification.objects.count() == 2


def test_a_user_goes_while_they_are_told(alice, bob, counted):
    """Django deletes the inbox before the user, and who tells locks the user before the inbox."""
    inbox.notify([alice, bob], "job_failed", "Before", group_key="shelf:1", version=1)
    with ExitStack() as after, transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=alice.pk)  # what telling does first
        after.enter_context(alongside(alice.delete))
        until(lambda: waiting_for_locks() == 1)
        inbox.notify([alice, bob], "job_failed", "Now", group_key="shelf:1", version=2)
        inbox.notify([alice, bob], "job_failed", "New")
    assert set(Notification.objects.values_list("recipient", flat=True)) == {bob.pk}


@pytest.mark.parametrize("several", [False, True])
def test_an_owner_goes_while_their_job_moves(several, alice, bob, counted):
    """Django forgets the owner of a job before it deletes them; who moves a job locks it before its owner."""
    users = User.objects.filter(pk__in=[alice.pk, bob.pk]) if several else alice
    job = rows.job(bob if several else alice, "running")
    inbox.follow(alice, job.stream)
    with ExitStack() as after, transaction.atomic():
        Job.objects.select_for_update().get(pk=job.pk)
        after.enter_context(alongside(users.delete))
        until(lambda: waiting_for_locks() == 1)
        rows.end(job, "completed", done=1)
        rows.told(job)
    assert Job.objects.get(pk=job.pk).owner is None and not Notification.objects.exists()
    assert not User.objects.filter(pk=alice.pk).exists()
