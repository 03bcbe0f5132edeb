"""The epoch of the deployment, and the sessions that sockets stand on."""

import secrets
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models


def new_epoch() -> str:
    """Return a random epoch, 8 characters."""
    return secrets.token_hex(4)


class Epoch(models.Model):
    """While `value` stands, versions only grow. A restored backup or a lower version gets a new one."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    value = models.CharField(max_length=8, default=new_epoch)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(name="epoch_one_row", condition=models.Q(id=1))]

    def __str__(self) -> str:
        return self.value


class Session(AbstractBaseSession):
    """A session of Django's, with whom it signs in, so that a person's sessions can be listed and ended."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="sessions"
    )

    @classmethod
    def get_session_store_class(cls) -> Any:
        """Return what reads and writes these rows."""
        from realtime.sessions import SessionStore  # it needs this model

        return SessionStore
