"""What the whole site keeps: who did what to what, and from where."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class AuditLog(models.Model):
    """One act of a person. Only added: a trigger refuses to change or delete a row, but for retention.

    actor: the user's number, null for who has the command line. No name: an account that is deleted leaves
    its number alone (SEC69, SEC80).
    """

    at = models.DateTimeField(db_default=Now())
    actor = models.BigIntegerField(null=True)
    action = models.CharField(max_length=50)  # a key of `config.audit.ACTIONS`
    target = models.CharField(max_length=200)  # as streams are named: job:<id>, user:7
    details = models.JSONField(default=dict)
    via = models.CharField(max_length=50)  # page, api, admin, or the command
    address = models.CharField(max_length=45, blank=True, default="")
    request_id = models.CharField(max_length=32, blank=True, default="")

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        indexes: ClassVar = [
            models.Index(name="auditlog_old", fields=["at"]),  # retention
            models.Index(name="auditlog_actor", fields=["actor", "-id"]),  # what one person did
            models.Index(name="auditlog_action", fields=["action", "-id"]),  # the page, by what was done
            models.Index(name="auditlog_target", fields=["target", "-id"]),  # what was done to one thing
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"
