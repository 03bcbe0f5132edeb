"""Hear from Django that a sign-in ended or a permission changed, and have every hub look.

These are Django's own signals about Django's own models; between our apps there are none. What goes out names
users and says nothing: each hub asks the database. A change that no signal tells (raw SQL, a queryset's
update) is found by the hubs' sweep.
"""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models.signals import m2m_changed, post_delete, post_save

from realtime.publish import recheck


def listen() -> None:
    """Connect. Called from `AppConfig.ready`."""
    user = get_user_model()
    post_save.connect(_user_saved, sender=user, dispatch_uid="realtime.user_saved")
    post_delete.connect(_user_gone, sender=user, dispatch_uid="realtime.user_gone")
    session = import_module(settings.SESSION_ENGINE).SessionStore.get_model_class()
    post_delete.connect(_session_gone, sender=session, dispatch_uid="realtime.session_gone")
    for members in (user.groups.through, user.user_permissions.through):
        m2m_changed.connect(_user_may, sender=members, dispatch_uid=f"realtime.{members.__name__}")
    post_delete.connect(_group_changed, sender=Group, dispatch_uid="realtime.group_gone")
    m2m_changed.connect(_group_changed, sender=Group.permissions.through, dispatch_uid="realtime.group_may")


def _user_saved(instance: Any, created: bool, update_fields: frozenset[str] | None, **rest: Any) -> None:
    # Every sign-in writes `last_login`; that takes nothing away.
    if not created and update_fields != frozenset({"last_login"}):
        recheck([instance.pk])


def _user_gone(instance: Any, **rest: Any) -> None:
    recheck([instance.pk])


def _session_gone(instance: Any, **rest: Any) -> None:
    if instance.user_id is not None:
        recheck([instance.user_id])


def _user_may(instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **rest: Any) -> None:
    if not action.startswith("post_"):
        return
    if not reverse:
        recheck([instance.pk])
    else:  # seen from the group or the permission; after a clear nobody says whose it was
        recheck(pk_set)


def _group_changed(action: str = "post_delete", **rest: Any) -> None:
    if action.startswith("post_"):
        recheck(None)
