"""Deleting a user: what goes with them is locked first, in the order in which everything else locks.

Django deletes what belongs to a user before the user. Who moves a job of theirs at that moment holds the job
and wants the user, then the inbox; without this file both could wait for each other for ever.
"""

from typing import Any

import structlog
from django.contrib.auth import get_user_model
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.signals import pre_delete

from ingestion.models import Job, Schedule, Upload
from notifications.models import Inbox

log = structlog.get_logger(__name__)


def listen() -> None:
    """Connect. Called from `AppConfig.ready`."""
    pre_delete.connect(_lock, sender=get_user_model(), dispatch_uid="ingestion.user_goes")


def _lock(instance: Any, using: str, origin: Any, **rest: Any) -> None:
    # Django says each user of a queryset in turn: the first locks what belongs to all of them.
    users: Any = (
        origin.values("pk")
        if isinstance(origin, QuerySet) and origin.model is type(instance)
        else [instance.pk]
    )
    for rows in (
        Schedule.objects.filter(owner__in=users),
        Upload.objects.filter(owner__in=users),
        Job.objects.filter(Q(owner__in=users) | Q(cancel_requested_by__in=users)),
        get_user_model()._default_manager.filter(pk__in=users),
        Inbox.objects.filter(pk__in=users),
    ):
        list(rows.using(using).order_by("pk").select_for_update(of=("self",)).values_list("pk"))
    # Their rows go with the user, and nobody would find the files any more.
    paths = list(Upload.objects.using(using).filter(owner__in=users).values_list("path", flat=True))
    transaction.on_commit(lambda: _drop(paths), using=using, robust=True)


def _drop(paths: list[str]) -> None:
    for path in paths:
        try:
            default_storage.delete(path)
        except OSError as error:  # the others go all the same, and somebody is told of this one
            log.error("file_of_user_left", path=path, error=error.strerror or str(error))
