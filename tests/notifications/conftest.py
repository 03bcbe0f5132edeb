"""What the tests of the inbox share."""

import pytest


@pytest.fixture
def counted(db):
    """Return a check that every user's `unread` is what counting says (P14)."""

    def check() -> None:
        from tests.notifications.counting import wrong_counts

        assert wrong_counts() == []

    yield check
    check()
