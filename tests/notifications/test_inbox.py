"""touch, follow, unfollow, followers."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from notifications import inbox, telling
from notifications.models import Follow, Inbox
from realtime import streams

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hints(monkeypatch):
    sent = []
    monkeypatch.setattr(telling, "publish", lambda stream, version, urgent: sent.append((stream, version)))
    return sent


def test_touch_moves_each_user_by_one_and_hints_each_version(alice, bob, hints):
    inbox.touch([bob.pk, alice.pk, alice.pk])
    inbox.touch([alice.pk])

    assert dict(Inbox.objects.values_list("user", "version")) == {alice.pk: 2, bob.pk: 1}
    assert hints == [(f"user:{alice.pk}", 1), (f"user:{bob.pk}", 1), (f"user:{alice.pk}", 2)]


def test_touch_is_one_statement_and_leaves_out_users_that_are_gone(alice, hints, django_assert_num_queries):
    inbox.touch([alice.pk])  # makes the inbox
    hints.clear()
    gone = alice.pk + 1000

    with django_assert_num_queries(1):
        inbox.touch([gone, alice.pk])

    assert hints == [(f"user:{alice.pk}", 2)]


def test_touch_of_nobody_does_nothing(hints, django_assert_num_queries):
    with django_assert_num_queries(0):
        inbox.touch([])

    assert hints == []


def test_touch_is_undone_with_its_transaction(alice):
    with transaction.atomic():
        inbox.touch([alice.pk])
        transaction.set_rollback(True)

    assert not Inbox.objects.exists()


def test_following_twice_is_one_follow(alice, bob):
    inbox.follow(alice, "company:12")
    inbox.follow(alice, "company:12")
    inbox.follow(bob, "company:12")

    assert inbox.followers("company:12") == {alice.pk, bob.pk}
    assert Follow.objects.count() == 2


@pytest.mark.parametrize("want", [inbox.follow, inbox.mute])
def test_two_clicks_collide_in_no_statement(alice, want):
    with CaptureQueriesContext(connection) as asked:
        assert want(alice, "company:12") and not want(alice, "company:12")
    written = [one["sql"] for one in asked if one["sql"].startswith("INSERT")]
    assert len(written) == 1 and "ON CONFLICT DO NOTHING" in written[0]


def test_unfollowing_ends_it_and_is_harmless_without_a_follow(alice):
    inbox.follow(alice, "company:12")
    inbox.unfollow(alice.pk, "company:12")
    inbox.unfollow(alice.pk, "company:12")

    assert inbox.followers("company:12") == set()


def test_a_user_sees_their_own_stream_only(alice, bob):
    kind = streams.kinds()["user"]
    odd = [f"0{alice.pk}", f"{alice.pk} ", "0", "-1", "7e0", "", "None", "\uff19"]
    keys = [str(alice.pk), str(bob.pk), *odd]

    assert kind.visible(alice, keys) == {str(alice.pk)}


def test_a_signed_out_user_sees_no_stream():
    from django.contrib.auth.models import AnonymousUser

    assert streams.kinds()["user"].visible(AnonymousUser(), ["None", "1"]) == set()


def test_a_user_without_a_row_stands_at_0(alice):
    kind = streams.kinds()["user"]

    assert kind.versions([str(alice.pk), "x"]) == {str(alice.pk): 0}
    assert kind.read({str(alice.pk): None})[str(alice.pk)].version == 0


def test_reading_many_users_costs_as_many_queries_as_reading_one(
    alice, bob, django_assert_num_queries, django_assert_max_num_queries
):
    kind = streams.kinds()["user"]
    inbox.touch([alice.pk, bob.pk])
    with django_assert_max_num_queries(10) as one:
        kind.read({str(alice.pk): None})

    with django_assert_num_queries(len(one)):
        kind.read({str(alice.pk): None, str(bob.pk): None})
    assert connection.in_atomic_block is False
