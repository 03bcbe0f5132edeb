"""notify: who is told, once, in one row, and what it does to the count."""

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from notifications import acting, inbox, preferences, telling, types
from notifications.models import Inbox, Notification, Preference

pytestmark = pytest.mark.django_db(transaction=True)


def tell(users, version=1, **more):
    return inbox.notify(
        users, "task_complete", "AAPL is ready", group_key="job:1", version=version, about="job:1", **more
    )


@pytest.mark.seed("S2.4", "S2.24", "S2.102")
def test_each_user_has_a_row_of_their_own(alice, bob, counted):
    inbox.notify([alice, bob], "system", "Hello", text="All is well", url="/jobs/")

    rows = Notification.objects.values_list("recipient", "type", "level", "title", "text", "url")
    assert sorted(rows) == [
        (user.pk, "system", "info", "Hello", "All is well", "/jobs/") for user in (alice, bob)
    ]
    assert dict(Inbox.objects.values_list("pk", "unread")) == {alice.pk: 1, bob.pk: 1}


def test_what_has_a_group_key_is_one_row_updated_in_place(alice, counted):
    tell([alice], 1)
    acting.read(alice, [Notification.objects.get().pk])
    first = Notification.objects.get()

    tell([alice], 2)

    row = Notification.objects.get()
    assert (row.pk, row.version, row.read_at) == (first.pk, 2, None)
    assert row.updated_at > first.updated_at
    assert Inbox.objects.get().unread == 1


@pytest.mark.parametrize("version", [3, 2])
def test_a_repeated_or_late_call_changes_nothing(alice, counted, version):
    tell([alice], 3)
    acting.read(alice, [Notification.objects.get().pk])
    before = (Notification.objects.values().get(), Inbox.objects.values().get())

    assert tell([alice], version, text="late") == []

    assert (Notification.objects.values().get(), Inbox.objects.values().get()) == before


def test_what_is_updated_in_place_needs_a_version(alice):
    with pytest.raises(ValueError, match="version"):
        inbox.notify([alice], "system", "x", group_key="a")


def test_an_undeclared_type_is_refused(alice):
    with pytest.raises(types.UnknownType):
        inbox.notify([alice], "task_completed", "x")
    assert not Notification.objects.exists()


@pytest.mark.parametrize(("title", "text"), [("", ""), ("x" * 201, ""), ("x", "y" * 2001)])
def test_what_does_not_fit_is_refused(alice, title, text):
    with pytest.raises(ValueError, match="title"):
        inbox.notify([alice], "system", title, text=text)


@pytest.mark.seed("S2.50", "S2.51", "S2.52", "S2.53", "S2.54", "S2.55")
@pytest.mark.parametrize(
    "name",
    [
        "auto_ingest_complete",
        "auto_ingest_error",
        "evaluation_complete",
        "article_analysis",
        "task_complete",
        "system",
    ],
)
def test_the_types_of_the_seed_are_declared(alice, name):
    assert inbox.notify([alice], name, "x")


def test_who_did_it_is_not_told(alice, bob, counted):
    inbox.notify([alice, bob], "system", "x", by=bob)

    assert Notification.objects.get().recipient == alice


@pytest.mark.parametrize("muted", ["job:1", "company:12"])
def test_who_muted_it_is_not_told(alice, bob, counted, muted):
    inbox.mute(bob, muted)
    inbox.mute(bob, muted)

    telling.tell(
        [
            telling.News(
                type="system", title="x", about="job:1", muted=["company:12"], users=[alice.pk, bob.pk]
            )
        ]
    )

    assert Notification.objects.get().recipient == alice
    inbox.unmute(bob.pk, muted)
    telling.tell([telling.News(type="system", title="x", about="job:1", users=[bob.pk])])
    assert Notification.objects.filter(recipient=bob).count() == 1


def test_a_type_that_is_off_unless_chosen_is_told_to_who_chose_it(alice, bob, monkeypatch):
    monkeypatch.setattr(types, "_types", dict(types.declared()))
    types.declare("rare", "Rare things", channels=())
    preferences.choose(bob.pk, "rare", "inbox", True)
    inbox.notify([alice, bob], "rare", "One")
    assert list(Notification.objects.values_list("recipient", flat=True)) == [bob.pk]
    preferences.choose(bob.pk, "rare", "inbox", False)
    assert not inbox.notify([alice, bob], "rare", "Two")


def test_who_switched_the_type_off_is_not_told(alice, bob, counted):
    Preference.objects.create(user=bob, type="system", channel="inbox", when="off")
    Preference.objects.create(user=alice, type="system", channel="email", when="off")

    inbox.notify([alice, bob], "system", "x")

    assert Notification.objects.get().recipient == alice


def test_a_row_that_somebody_has_stays_true_after_they_muted_it(alice, counted):
    tell([alice], 1)
    inbox.mute(alice, "job:1")

    tell([alice], 2)

    row = Notification.objects.get()
    assert row.version == 2 and row.read_at is not None
    assert Inbox.objects.get().unread == 0


def test_users_who_are_gone_or_may_not_sign_in_are_left_out(alice, bob, counted):
    User.objects.filter(pk=bob.pk).update(is_active=False)

    inbox.notify([alice.pk, bob.pk, alice.pk + 1000], "system", "x")

    assert Notification.objects.get().recipient == alice


def test_followers_are_told_when_the_news_says_so(alice, bob, counted):
    inbox.follow(bob, "job:1")

    telling.tell([telling.News(type="system", title="a", about="job:1", users=[alice.pk], followers=True)])
    telling.tell([telling.News(type="system", title="b", about="job:1", users=[alice.pk])])

    assert sorted(Notification.objects.values_list("recipient", "title")) == [
        (alice.pk, "a"),
        (alice.pk, "b"),
        (bob.pk, "a"),
    ]


def test_of_two_news_of_a_key_a_user_has_the_first_and_of_others_all(alice, bob, counted):
    def news(title, users, key=None):
        return inbox.News(type="system", title=title, users=[user.pk for user in users], group_key=key)

    inbox.tell(
        [
            news("one", [alice]),
            news("two", [alice], "a"),
            news("three", [alice, bob], "a"),
            news("four", [alice]),
            news("five", [alice], "b"),
        ]
    )

    told = Notification.objects.values_list("recipient__username", "title").order_by("pk")
    assert sorted(told) == [
        ("alice", "five"),
        ("alice", "four"),
        ("alice", "one"),
        ("alice", "two"),
        ("bob", "three"),
    ]


def test_quiet_news_is_read_already_and_stays_where_it_is(alice, counted):
    tell([alice], 1)
    before = Notification.objects.get()

    telling.tell(
        [
            telling.News(
                type="job_started", title="s", group_key="job:1", version=2, users=[alice.pk], quiet=True
            )
        ]
    )

    row = Notification.objects.get()
    assert (row.title, row.updated_at) == ("s", before.updated_at) and row.read_at is not None


def test_news_brings_back_what_was_archived(alice, counted):
    tell([alice], 1)
    acting.archive(alice, [Notification.objects.get().pk])

    tell([alice], 2)

    assert Notification.objects.get().archived_at is None
    assert Inbox.objects.get().unread == 1


def test_it_is_one_statement_and_one_for_the_deliveries_for_any_number_of_users(
    alice, bob, django_assert_num_queries
):
    inbox.touch([alice.pk, bob.pk])  # makes the inboxes
    with transaction.atomic(), django_assert_num_queries(2):
        telling.tell([telling.News(type="system", title="x", users=[alice.pk, bob.pk])])


def test_it_is_undone_with_its_transaction(alice, counted):
    with transaction.atomic():
        inbox.notify([alice], "system", "x")
        transaction.set_rollback(True)

    assert not Notification.objects.exists() and not Inbox.objects.exists()


def test_a_users_stream_moves_by_one_and_only_when_something_was_written(alice, monkeypatch):
    sent = []
    monkeypatch.setattr(telling, "publish", lambda stream, version, urgent: sent.append((stream, version)))

    tell([alice], 1)
    tell([alice], 1)

    assert sent == [(f"user:{alice.pk}", 1)]


def test_channels_hear_what_was_written_in_the_same_transaction(alice, monkeypatch):
    heard = []
    monkeypatch.setattr(telling, "_listeners", [])
    telling.listen(lambda told: heard.append((list(told), connection.in_atomic_block)))

    tell([alice], 4)

    row = Notification.objects.get()
    assert heard == [([(row.pk, alice.pk, "task_complete", 4, True)], True)]


def test_the_plan_reads_no_table_of_people_or_rows_whole(alice, bob):
    User.objects.bulk_create(User(username=f"u{n}", password="!") for n in range(3000))
    users = list(User.objects.values_list("pk", flat=True))
    Inbox.objects.bulk_create(Inbox(pk=pk) for pk in users)
    Notification.objects.bulk_create(
        Notification(recipient_id=pk, type="system", level="info", title="x", group_key=f"job:{n}")
        for pk in users
        for n in range(3)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        one = telling._columns([telling.News(type="system", title="x", users=[alice.pk])])
        cursor.execute("EXPLAIN " + telling._TELL, one | {"moving": [], "moving_abouts": []})
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("RESET plan_cache_mode")
    for table in ("auth_user", "notifications_inbox", "notifications_notification"):
        assert f"Seq Scan on {table}" not in plan, plan


def test_news_of_what_was_seen_is_unseen_and_what_is_quiet_is_not(alice, counted):
    shelf = {"type": "system", "title": "Shelf", "group_key": "shelf:1", "users": [alice.pk]}
    (row,) = inbox.tell([inbox.News(**shelf, version=1)])
    acting.see(alice, [row.id])
    seen = Notification.objects.get().seen_at

    inbox.tell([inbox.News(**shelf, version=2, quiet=True)])
    assert Notification.objects.get().seen_at == seen
    inbox.tell([inbox.News(**shelf, version=3)])
    assert Notification.objects.get().seen_at is None
