"""The ground the other tests stand on."""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from tests.conftest import FLUSH_WHOLE
from tests.demo.models import Shelf
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


def test_what_a_large_test_left_is_emptied_with_the_audit_log(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        rows = "SELECT 1, repeat('x', 50) FROM generate_series(1, 20000)"
        cursor.execute(f"INSERT INTO demo_shelf (version, name) {rows}")
        cursor.execute("SELECT pg_relation_size('demo_shelf')")
        assert cursor.fetchone()[0] > FLUSH_WHOLE
    call_command("flush", interactive=False, verbosity=0)
    assert not Shelf.objects.exists()
    with connection.cursor() as cursor:
        triggers = "FROM pg_trigger WHERE tgrelid = 'headway_auditlog'::regclass AND NOT tgisinternal"
        cursor.execute(f"SELECT count(*), bool_and(tgenabled = 'O') {triggers}")
        assert cursor.fetchone() == (2, True)
