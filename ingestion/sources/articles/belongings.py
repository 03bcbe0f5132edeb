"""What a person has here, and their topics when they go."""

from collections.abc import Iterator
from typing import Any

from django.db import transaction

from ingestion import belongings
from ingestion.sources.articles.models import Keyword, Role, Topic, TopicMember


def register() -> None:
    """Make them known."""
    belongings.register("topics", belongings.Belongings(rows=_topics, leave=_leave))
    belongings.register("topic_keywords", belongings.Belongings(rows=_keywords))


def _topics(user: Any) -> Iterator[belongings.Row]:
    found = TopicMember.objects.filter(user=user)
    return belongings.in_turn(found, "topic__name", "topic__description", "role")


def _keywords(user: Any) -> Iterator[belongings.Row]:
    # Made by them and still theirs to see: others go on with a topic that its maker has left.
    found = Keyword.objects.filter(topic__created_by=user, topic__memberships__user=user)
    return belongings.in_turn(found, "topic__name", "text", "created_at")


def _leave(user: Any) -> None:
    """Delete the topics of this person alone; of the others somebody becomes the owner."""
    for topic in Topic.objects.filter(memberships__user=user).order_by("pk"):
        with transaction.atomic():
            # Two owners may leave at once: the second looks when the first is no member any more.
            if not Topic.objects.select_for_update().filter(pk=topic.pk).exists():
                continue
            others = list(topic.memberships.exclude(user=user).order_by("pk"))
            if not others:
                topic.delete()
                continue
            if all(other.role != Role.OWNER for other in others):
                heir = next((one for one in others if one.role == Role.EDITOR), others[0])
                TopicMember.objects.filter(pk=heir.pk).update(role=Role.OWNER)
            topic.memberships.filter(user=user).delete()
