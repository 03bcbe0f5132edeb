"""What the tests of the inbox share."""

from typing import Any

import pytest


@pytest.fixture
def counted(db):
    """Return a check that every user's `unread` is what counting says (P14)."""

    def check() -> None:
        from tests.notifications.counting import wrong_counts

        assert wrong_counts() == []

    yield check
    check()


@pytest.fixture
def mail_server(settings):
    """A mail server that the settings name."""
    from tests.notifications.receivers import MailServer

    server = MailServer()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    yield server
    server.stop()


@pytest.fixture
def receiver(settings):
    """A webhook's receiver on a loopback address that may be called."""
    from tests.notifications.receivers import Receiver

    settings.FETCH_ALLOW = ["127.0.0.1"]
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture
def reached(alice: Any, settings):
    """Alice, with an address, who gets everything by mail."""
    from notifications import preferences, types

    settings.SITE_URL = "https://headway.test"
    alice.email = "alice@example.org"
    alice.save(update_fields=["email"])
    preferences.choose_all(alice.pk, [(name, "email", True) for name in types.declared()])
    return alice
