"""Who may see a topic and what is in it, and who may act: its members, by their role."""

from typing import Any

from django.db.models import CharField, QuerySet, Value
from django.db.models.functions import Cast, Concat

from ingestion import access
from ingestion.source import SourceError
from ingestion.sources.articles.models import Role, Topic, TopicMember
from realtime.streams import numbers

KIND = "topic"


def register() -> None:
    """Let members see the jobs of their topics, and editors act on them."""
    access.register(KIND, access.ObjectAccess(names=_names, may_see=_may_see, may_act=_may_act))


def role_of(user: Any, topic: int) -> str:
    """Return a user's role in a topic, or an empty text."""
    if user is None or not user.is_active:
        return ""
    return TopicMember.objects.filter(user=user.pk, topic=topic).values_list("role", flat=True).first() or ""


def may_edit(role: str) -> bool:
    """Say whether a role may start analyses and keep articles."""
    return role in (Role.EDITOR, Role.OWNER)


def check_may_edit(user: Any, topic: int | None) -> None:
    """Leave a topic to its editors; without one it is about their own. Raises SourceError.

    One rule for all jobs: a topic that somebody cannot see is not there, one they may only read says so.
    """
    if topic is None or user is None:
        return
    role = role_of(user, topic)
    if not role:
        raise SourceError("not_found", "Not found.")
    if not may_edit(role):
        raise SourceError("permission_denied", "You may read this topic, and not add to it.")


def add(topic: Topic, user: Any, role: str) -> None:
    """Make a user a member, or give a member another role."""
    TopicMember.objects.update_or_create(topic=topic, user=user, defaults={"role": role})


def _names(user: Any) -> QuerySet[Any, Any]:
    name = Concat(Value(f"{KIND}:"), Cast("topic_id", CharField()), output_field=CharField())
    return TopicMember.objects.filter(user=user).annotate(name=name).values("name")


def _may_see(user: Any, key: str) -> bool:
    return any(role_of(user, pk) for pk in numbers([key]))


def _may_act(user: Any, key: str) -> bool:
    return any(may_edit(role_of(user, pk)) for pk in numbers([key]))
