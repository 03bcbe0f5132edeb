"""Sessions in the database that know their user, and say where they went when they get a new key."""

from datetime import timedelta
from typing import Any, cast

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import CreateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.utils import timezone

from realtime.models import Session

MOVED_TO = "_moved_to"  # in the row that is left behind, which signs nobody in
GONE = "The account of this session is no more."
MOVED_SECONDS = 60  # longer than the longest time between two sweeps


class SessionStore(db.SessionStore):
    """The store of SESSION_ENGINE.

    Who changes their own password stays signed in under a new key, so that a stolen copy of the old cookie is
    worth nothing. Their open pages must not be told that they are signed out: the old row stays for a minute,
    without a user, and names the new key. No cookie and no message carries it.
    """

    _moving = False

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """Return the rows' class."""
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """Return the row to be written, with whom the session signs in."""
        return _named(cast(Session, super().create_model_instance(data)), data)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Session:
        """As `create_model_instance`, for who saves a session without a thread."""
        return _named(cast(Session, await super().acreate_model_instance(data)), data)

    def save(self, must_create: bool = False) -> None:
        """Write the session. Raises SessionInterrupted, which answers 400, when its user is no more."""
        try:
            super().save(must_create)
        except CreateError as error:
            # Django takes every broken constraint for a key that is taken, and would try keys for ever.
            if self.exists(self.session_key or ""):
                raise
            raise SessionInterrupted(GONE) from error

    async def asave(self, must_create: bool = False) -> None:
        """As `save`, for who saves a session without a thread."""
        try:
            await super().asave(must_create)
        except CreateError as error:
            if await self.aexists(self.session_key or ""):
                raise
            raise SessionInterrupted(GONE) from error

    def cycle_key(self) -> None:
        """Give the session a new key."""
        self._moving = SESSION_KEY in self
        try:
            super().cycle_key()
        finally:
            self._moving = False

    def delete(self, session_key: str | None = None) -> None:
        """Delete a session's row; the old row of one that moved says for a minute where to."""
        if not (self._moving and session_key):
            super().delete(session_key)
            return
        Session.objects.filter(session_key=session_key).update(
            user=None,
            session_data=self.encode({MOVED_TO: self.session_key}),
            expire_date=timezone.now() + timedelta(seconds=MOVED_SECONDS),
        )


def _named(row: Session, data: dict[str, Any]) -> Session:
    user = str(data.get(SESSION_KEY, ""))
    row.user_id = int(user) if user.isdecimal() else None
    return row
