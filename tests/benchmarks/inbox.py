"""Five million notifications of 50,000 users, beside the plain ways on the same rows: `./run bench inbox`.

`python -m tests.benchmarks.inbox ROWS` takes another number of rows.
"""

import gc
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import django

from tests.benchmarks.figures import Figure, p50, p99

ROWS = 5_000_000
EACH = 100  # rows of a user; a tenth of them unread
HEAVY = 5_000  # unread rows of one more user, and as many that are read
SHOTS = 300
PAGE = 50
MARKS = 7
CASTS = 40
# PERFORMANCE's figures of django-notifications-hq (Django 4.2) with as many rows.
HQ = {"page": 3.2, "live": 29.6, "unread": 0.75, "mark": 350.0, "broadcast": 36_000.0, "bytes": 300}

_USERS = """
    INSERT INTO auth_user (username, password, first_name, last_name, email, is_active, is_staff,
        is_superuser, date_joined)
    SELECT 'user' || n, '!', '', '', '', true, false, false, now() - interval '1 year'
    FROM generate_series(1, %s) n
"""
# Rows as jobs write them, spread over a year; `n` is spread over users as arrivals are.
_FILL = """
    INSERT INTO notifications_notification (recipient_id, type, level, title, text, url, about, group_key,
        version, data, created_at, updated_at, read_at)
    SELECT recipient, 'task_complete', 'success', 'Company filings ' || n || ' completed', 'Done: 24 of 24',
        '/jobs/' || key || '/', 'job:' || key, 'job:' || key, 7,
        '{"status": "complete"}',
        at, at, CASE WHEN read THEN at + interval '1 hour' END
    FROM (
        SELECT n, (%(first)s + n %% %(users)s)::int AS recipient, gen_random_uuid()::text AS key,
            now() - interval '300 days' * (1 - n / %(rows)s::float) AS at,
            n / %(users)s %% %(cycle)s >= %(unread)s AS read
        FROM generate_series(0, %(rows)s - 1) n
    ) row
"""
# As much as django-notifications-hq's rows hold: who, what and where, without a key to be updated by.
PLAIN = 200_000
_PLAIN = """
    CREATE TABLE plain (LIKE notifications_notification INCLUDING ALL);
    INSERT INTO plain (recipient_id, type, level, title, text, url, version, data, created_at, updated_at,
        read_at)
    SELECT recipient_id, type, level, title, text, '/jobs/', version, '{}', created_at, updated_at, read_at
    FROM notifications_notification LIMIT %s
"""
_SIZE = "SELECT pg_table_size(%(table)s::regclass), pg_indexes_size(%(table)s::regclass)"


def main(rows: int) -> None:
    """Fill the tables, measure everything and print it."""
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    bench = Bench(rows)
    for figure in bench.filled():
        figure.say()
    bench.heavy = User.objects.get(username="user1")
    bench.light = list(User.objects.filter(pk__gt=bench.heavy.pk).order_by("?")[:SHOTS])
    for measure in (bench.pages, bench.unread, bench.marks, bench.broadcasts):
        gc.collect()
        for figure in measure():
            figure.say()


def milliseconds(action: Callable[[], Any]) -> float:
    """Return how long an action takes."""
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def turns(times: int, *actions: Callable[[], Any]) -> list[list[float]]:
    """Let actions take turns, so that all see the same machine; return the milliseconds of each."""
    for action in actions:  # plans and caches are there
        action()
    took: list[list[float]] = [[] for _ in actions]
    for _ in range(times):
        for mine, action in zip(took, actions, strict=True):
            mine.append(milliseconds(action))
    return took


class Bench:
    """The tables, and what is measured on them."""

    heavy: Any
    light: list[Any]

    def __init__(self, rows: int) -> None:
        self.rows, self.users = rows, max(rows // EACH, SHOTS)
        self.chance = random.Random(4)

    def filled(self) -> Iterator[Figure]:
        """Make users and rows, indexes last as a restore does."""
        from django.db import connection

        from notifications.models import Inbox, Notification

        table = Notification._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(_USERS, [self.users + 1])
            cursor.execute("SELECT min(id) FROM auth_user WHERE username LIKE 'user%%'", [])
            heavy = cursor.fetchone()[0]
            cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [table])
            indexes = [(name, text) for name, text in cursor.fetchall() if not name.endswith("_pkey")]
            for name, _ in indexes:
                cursor.execute(f"DROP INDEX {name}")
            # Foreign keys are triggers, which a load of rows that are known to be right can do without.
            cursor.execute("SET session_replication_role = replica")
            light = {"first": heavy + 1, "users": self.users, "rows": self.rows, "cycle": 10, "unread": 1}
            cursor.execute(_FILL, light)
            both = {"first": heavy, "users": 1, "rows": 2 * HEAVY, "cycle": 2, "unread": 1}
            cursor.execute(_FILL, both)
            cursor.execute("SET session_replication_role = origin")
            cursor.execute("SET maintenance_work_mem = '512MB'")
            for _, text in indexes:
                cursor.execute(text)
            cursor.execute(
                f"""
                INSERT INTO {Inbox._meta.db_table} (user_id, version, unread)
                SELECT recipient_id, 1, count(*) FILTER (WHERE read_at IS NULL) FROM {table} GROUP BY 1
                """
            )
            cursor.execute(f"VACUUM (ANALYZE) {table}")
            cursor.execute("ANALYZE")
            cursor.execute(_PLAIN, [PLAIN])
            sizes = {}
            for name, rows in (("plain", min(PLAIN, self.rows + 2 * HEAVY)), (table, self.rows + 2 * HEAVY)):
                cursor.execute(_SIZE, {"table": name})
                sizes[name] = [size / rows for size in cursor.fetchone()]
            cursor.execute("DROP TABLE plain")
        for name, (row, index), unit in (
            ("bytes", sizes["plain"], "bytes a notification"),
            ("bytes_of_a_job", sizes[table], "bytes a notification with its job's key"),
        ):
            against = f"django-notifications-hq ({HQ['bytes']}); row {row:.0f}, indexes {index:.0f}"
            yield Figure(
                f"inbox.{name}", row + index, unit, (row + index) / HQ["bytes"], against, "at most 300"
            )

    def pages(self) -> Iterator[Figure]:
        """A page of 50, the first of anybody's and far down in a long inbox; and the whole inbox page."""
        from notifications import listing, pages
        from notifications.listing import Filter

        light = itertools.cycle(self.light)

        def ours(user: Any, after: Any = None) -> None:
            found = listing.entries(user, Filter("inbox"), limit=PAGE + 1, after=after)
            _serve(found[:PAGE], listing.unread_count(user))

        def whole(user: Any) -> None:
            pages.context(user, pages.Filters())

        # Rows of one user are as far apart as they came: who was not there lately waits for a disk, once.
        first = [milliseconds(lambda: ours(user)) for user in self.light]  # noqa: B023 - called at once
        yield Figure(
            "inbox.page_first_p50",
            p50(first),
            "ms of users who were not there lately",
            None,
            f"{PAGE} blocks of a table of gigabytes from this machine's disk ({p99(first):.1f} ms p99)",
            "said, as the disk's",
        )
        for user in self.light:
            whole(user)
        deep = listing.entries(self.heavy, Filter("inbox"), limit=4000)[-1].key
        mine, plain = turns(SHOTS, lambda: ours(next(light)), lambda: naive_page(next(light)))
        down, plain_down = turns(SHOTS, lambda: ours(self.heavy, deep), lambda: naive_page(self.heavy, 4000))
        # All that the template of the inbox shows: lines by day, the counts of its views and types.
        shown, plain_shown = turns(SHOTS, lambda: whole(next(light)), lambda: naive_page(next(light)))
        long, plain_long = turns(SHOTS, lambda: whole(self.heavy), lambda: naive_page(self.heavy))
        hq = f"django-notifications-hq {HQ['page']} ms, its live list {HQ['live']}"
        for name, values, others in (
            ("page", mine, plain),
            ("page_deep", down, plain_down),
            ("context", shown, plain_shown),
            ("context_long", long, plain_long),
        ):
            against = f"offset and COUNT, same run ({p50(others):.2f} ms p50, {p99(others):.2f} p99); {hq}"
            yield Figure(
                f"inbox.{name}_p50", p50(values), "ms", p50(values) / p50(others), against, "at most naive"
            )
            yield Figure(
                f"inbox.{name}_p99", p99(values), "ms", p99(values) / p99(others), against, "under 10 ms"
            )

    def unread(self) -> Iterator[Figure]:
        """The number that bell, menu and title show."""
        from notifications import listing
        from notifications.models import Notification

        light = iter(self.light * 4)

        def count() -> None:
            Notification.objects.filter(
                recipient=self.heavy, read_at=None, archived_at=None, snoozed_at=None
            ).count()

        heavy, few, plain = turns(
            SHOTS,
            lambda: listing.unread_count(self.heavy),
            lambda: listing.unread_count(next(light)),
            count,
        )
        yield Figure(
            "inbox.unread",
            p50(heavy),
            f"ms p50 with {HEAVY:,} unread",
            p50(heavy) / p50(plain),
            f"COUNT, same run ({p50(plain):.2f} ms); django-notifications-hq {HQ['unread']} ms",
            "under 1",
        )
        yield Figure(
            "inbox.unread_grows",
            p50(heavy) - p50(few),
            f"ms more than with {EACH // 10} unread",
            p50(heavy) / p50(few),
            f"a user with {EACH // 10} unread ({p50(few):.2f} ms)",
            "O(1): about 1",
        )

    def marks(self) -> Iterator[Figure]:
        """Marking 5,000 read, and undoing it."""
        from notifications import acting
        from notifications.listing import Filter

        read, floor = [], []
        for _ in range(MARKS):
            floor.append(milliseconds(lambda: bare_mark(self.heavy)))
            tidy()
            began = time.perf_counter()
            done = acting.read(self.heavy, Filter("unread"))
            read.append((time.perf_counter() - began) * 1000)
            if done.count != HEAVY or acting.unread_again(self.heavy, done.at).count != HEAVY:
                raise SystemExit(f"{done.count} of {HEAVY} rows were marked")
            tidy()
        yield Figure(
            "inbox.mark_over_update",
            p50(read) - p50(floor),
            f"ms p50 of {HEAVY:,} over the floor",
            p50(read) / p50(floor),
            f"one bare UPDATE of the same rows, same run ({p50(floor):.0f} ms)",
            "at most 1.3",
        )
        plain = milliseconds(lambda: naive_mark(self.heavy))
        yield Figure(
            "inbox.mark_all_read",
            p50(read),
            f"ms p50 of {HEAVY:,}",
            p50(read) / plain,
            f"an UPDATE a row, same run ({plain:.0f} ms); django-notifications-hq {HQ['mark']:.0f} ms",
            "at most 30 ms",
        )

    def broadcasts(self) -> Iterator[Figure]:
        """Telling everybody."""
        from notifications import broadcasts

        took = [milliseconds(lambda: broadcasts.broadcast("Maintenance at 20:00")) for _ in range(CASTS)]
        plain = milliseconds(naive_broadcast)
        yield Figure(
            "inbox.broadcast",
            p50(took),
            f"ms p50 to {self.users:,} users",
            p50(took) / plain,
            f"bulk_create of a row a user, same run ({plain:.0f} ms, {plain / p50(took):,.0f} times ours); "
            f"django-notifications-hq {HQ['broadcast']:.0f} ms",
            "at most 0.001",
        )


def tidy() -> None:
    """Take away dead rows, as autovacuum does between what people do."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM notifications_notification")


def _serve(entries: list[Any], unread: int) -> bytes:
    from config.http import answer
    from notifications.entries import json_of

    return answer({"notifications": [json_of(entry) for entry in entries], "unread": unread}).content


def naive_page(user: Any, offset: int = 0) -> bytes:
    """Do what a page does when nobody thinks of the millionth row: objects, OFFSET, a COUNT a page."""
    from django.core.serializers.json import DjangoJSONEncoder
    from django.forms import model_to_dict

    from notifications.models import Notification

    mine = Notification.objects.filter(recipient=user, archived_at=None, snoozed_at=None)
    shown = mine.order_by("-updated_at", "-id")[offset : offset + PAGE]
    data = {
        "count": mine.count(),
        "unread": mine.filter(read_at=None).count(),
        "notifications": [model_to_dict(row) for row in shown],
    }
    return json.dumps(data, cls=DjangoJSONEncoder).encode()


def bare_mark(user: Any) -> None:
    """Do what no way of marking rows can do without: write them."""
    from django.db import transaction
    from django.utils import timezone

    from notifications.models import Notification

    with transaction.atomic():
        Notification.objects.filter(recipient=user, read_at=None, archived_at=None, snoozed_at=None).update(
            read_at=timezone.now()
        )
        transaction.set_rollback(True)


def naive_mark(user: Any) -> None:
    """Mark all read with an UPDATE a row."""
    from django.db import transaction
    from django.utils import timezone

    from notifications.models import Notification

    with transaction.atomic():
        for row in Notification.objects.filter(recipient=user, read_at=None):
            row.read_at = timezone.now()
            row.save(update_fields=["read_at"])


def naive_broadcast() -> None:
    """Tell everybody with a row each."""
    from django.contrib.auth.models import User

    from notifications.models import Notification

    users = User.objects.values_list("pk", flat=True)
    Notification.objects.bulk_create(
        [
            Notification(recipient_id=pk, type="system", level="info", title="Maintenance at 20:00")
            for pk in users
        ],
        batch_size=5000,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
