"""The ground the other tests stand on."""

import pytest
from django.contrib.auth.models import User

from tests.waiting import until


def test_the_cast_signs_in(alice, bob, staff, client):
    assert client.login(username="alice", password="alice's secret")
    assert staff.is_staff and not bob.is_staff


@pytest.mark.django_db
async def test_a_coroutine_test_writes_inside_the_tests_transaction(alice):
    await User.objects.acreate(username="inside")
    assert await User.objects.acount() == 2


def test_nothing_of_the_coroutine_test_remains(db):
    assert not User.objects.filter(username="inside").exists()


def test_until_says_what_did_not_happen():
    with pytest.raises(AssertionError, match="the moon"):
        until(lambda: False, seconds=0.1, what="the moon")
