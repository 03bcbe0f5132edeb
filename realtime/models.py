"""One row: the epoch of the deployment."""

import secrets
from typing import ClassVar

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
