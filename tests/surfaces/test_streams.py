"""Bad names of streams: nobody sees one, and none breaks a question."""

import pytest
from django.contrib.auth.models import User

from realtime import streams

pytestmark = pytest.mark.django_db

# Behind the colon of every kind of stream: at the WebSocket, the event stream and the poll.
KEYS = [
    "", "0", "-1", "+1", "01", " 1", "1 ", "1.0", "1e3", "7e0", "1_0", "9" * 30, "\u0661", "\uff11", "0x1",
    "1\0", "\0", "1\n", "\ud800", "\u202e1", "\u200b1", "1\u200b", "../1", "%31", "1:1", "1:", ":1", "1;2",
    "' OR 1=1 --", "x" * 300, "null", "NaN", "{}", "7:2026-13-45", "7:2026-02-30", "7:yesterday",
    "7:9999-99-99",
    "1:2026-01-05\0", "\u0661:2026-01-05", "01980000-0000-7000-8000-00000000000",
    "{01980000-0000-7000-8000-000000000000}",
    "01980000000070008000000000000000", "urn:uuid:01980000-0000-7000-8000-000000000000",
    "\u043101980000-0000-7000-8000-00000000000",
]  # fmt: skip
# What a key may be of the kinds that have no rows to look up.
ALWAYS_THERE = {"system:", "broadcast:", "reports:"}


def test_no_kind_of_stream_shows_a_bad_name(alice: User, bob: User) -> None:
    """WS49 to WS51, WS69."""
    User.objects.filter(pk=alice.pk).update(is_superuser=True, is_staff=True)
    alice.refresh_from_db()
    wrong = []
    assert len(streams.kinds()) >= 8
    for kind in streams.kinds():
        for key in [*KEYS, str(bob.pk) if kind == "user" else "x"]:
            name = f"{kind}:{key}"
            if name not in ALWAYS_THERE and streams.visible(alice, [name]):
                wrong.append(repr(name))
        names = [f"{kind}:{key}" for key in KEYS]
        wrong += [repr(name) for name in streams.visible(alice, names) if name not in ALWAYS_THERE]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "name", ["", ":", "JOB:1", "j\u043eb:1", "job\0:1", "__class__:1", "\u202ejob:1", "x" * 300]
)
def test_no_other_word_is_a_kind(alice: User, name: str) -> None:
    assert streams.kind_of(name) is None
    assert streams.visible(alice, [name]) == set()
