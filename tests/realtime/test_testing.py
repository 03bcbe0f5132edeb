"""`assert_live_equals_fresh` sees what an author forgets."""

import pytest
from django.db import transaction
from django.db.models import F

from ingestion import lifecycle
from ingestion.models import JobEvent
from ingestion.testing import assert_live_equals_fresh, run_inline
from realtime.publish import publish
from realtime.streams import Kind, Reading, kinds, register
from tests.demo.models import Shelf
from tests.demo.streams import visible
from tests.ingestion.test_run import running
from tests.realtime.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shelf():
    return Shelf.objects.create(name="empty")


def rename(shelf, name):
    with transaction.atomic():
        Shelf.objects.filter(pk=shelf.pk).update(name=name, version=F("version") + 1)
        publish(shelf.stream, shelf.version + 1)


def test_what_is_changed_as_it_should_be_passes(alice, shelf):
    job = lifecycle.create("ping", {}, owner=alice).job
    run = running(job)
    with assert_live_equals_fresh(shelf, job), run.step("work") as step:
        for item in step.items(["a", "b"], key=str):
            with item:
                Shelf.objects.filter(pk=shelf.pk).update(name=item.value)
                run.changed(shelf)


def test_a_change_without_a_version_fails(shelf):
    with (
        pytest.raises(AssertionError, match="name changed, and its version did not"),
        assert_live_equals_fresh(shelf),
    ):
        Shelf.objects.filter(pk=shelf.pk).update(name="full")


def test_a_change_without_a_version_fails_after_others_with_one(shelf):
    with (
        pytest.raises(AssertionError, match="name changed, and its version did not"),
        assert_live_equals_fresh(shelf),
    ):
        rename(shelf, "half")
        Shelf.objects.filter(pk=shelf.pk).update(name="full")


def test_a_forgotten_hint_is_made_up_for(shelf):
    with assert_live_equals_fresh(shelf):
        Shelf.objects.filter(pk=shelf.pk).update(name="full", version=F("version") + 1)


def test_versions_that_do_not_move_with_the_row_fail(shelf):
    good = kinds()["shelf"]
    register(
        Kind(name="shelf", visible=visible, versions=lambda keys: dict.fromkeys(keys, 1), read=good.read)
    )
    try:
        with (
            pytest.raises(AssertionError, match="pages stand at 1, it is at 2"),
            assert_live_equals_fresh(shelf),
        ):
            Shelf.objects.filter(pk=shelf.pk).update(name="full", version=F("version") + 1)
    finally:
        register(good)


def test_events_below_the_version_of_their_change_fail(alice):
    job = make_job(alice, version=5)
    with pytest.raises(AssertionError, match="events are not told"), assert_live_equals_fresh(job):
        JobEvent.objects.create(job=job, version=3, kind="log", message="late")


def test_data_that_depends_on_who_asks_fails(shelf):
    good = kinds()["shelf"]
    answers = iter(range(9))

    def read(since):
        return {key: Reading(1, {"name": next(answers)}, events=[]) for key in since}

    register(Kind(name="shelf", visible=visible, versions=good.versions, read=read))
    try:
        with pytest.raises(AssertionError, match="name changed"), assert_live_equals_fresh(shelf):
            pass
    finally:
        register(good)


def test_a_deleted_row_is_gone_for_both(shelf):
    with assert_live_equals_fresh(shelf):
        shelf.delete()


def test_only_what_exists_can_be_watched(shelf):
    for name, why in [("shelf:0", "there is no shelf:0"), ("nothing:1", "no kind of stream")]:
        with pytest.raises(AssertionError, match=why), assert_live_equals_fresh(name):
            pass


def test_a_failure_of_the_block_is_not_hidden(alice, shelf):
    with pytest.raises(ZeroDivisionError), assert_live_equals_fresh(shelf):
        Shelf.objects.filter(pk=shelf.pk).update(name="full")
        assert run_inline("ping", owner=alice).is_final
        raise ZeroDivisionError
