"""Topics: made, changed and shared. The verbs that pages, API and commands use."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from config.problems import field_errors
from config.statements import execute
from ingestion.errors import NotPossible
from ingestion.models import Schedule
from ingestion.schedules import settle
from ingestion.source import SourceError, SourceParams
from ingestion.sources.articles import addresses, members
from ingestion.sources.articles.models import (
    LONGEST_KEYWORD,
    MOST_FEEDS,
    MOST_KEYWORDS,
    Feed,
    Keyword,
    Role,
    Topic,
    TopicMember,
)
from ingestion.sources.articles.words import fold
from realtime.publish import publish, recheck

MOST_TOPICS = 200  # that one user makes


class TopicValues(SourceParams):
    """What a topic is, as a person writes it down."""

    name: str = Field(min_length=1, max_length=100)
    description: str = Field("", max_length=1000)
    keywords: list[str] = Field([], max_length=MOST_KEYWORDS)
    feeds: list[str] = Field([], max_length=MOST_FEEDS)
    threshold: float = Field(0.3, ge=0, le=1, allow_inf_nan=False)

    @field_validator("keywords")
    @classmethod
    def _are_words(cls, given: list[str]) -> list[str]:
        """Keep what is written twice once."""
        kept: dict[str, str] = {}
        for text in given:
            one = " ".join(text.split())
            if len(one) > LONGEST_KEYWORD or len(fold(one)) > 2 * LONGEST_KEYWORD:
                raise PydanticCustomError(
                    "keyword_length", f"A keyword has at most {LONGEST_KEYWORD} characters."
                )
            if fold(one):
                kept.setdefault(fold(one), one)
        return list(kept.values())

    @field_validator("feeds")
    @classmethod
    def _are_addresses(cls, given: list[str]) -> list[str]:
        kept: dict[str, None] = {}
        for text in given:
            if not text.strip():
                continue
            try:
                kept[addresses.canonical(text)] = None
            except SourceError as error:
                raise PydanticCustomError(error.code, "{text}", {"text": error.message}) from error
        return list(kept)


def checked(values: Mapping[str, Any]) -> TopicValues:
    """Judge what was written down. Raises NotPossible with the first thing that is wrong."""
    try:
        return TopicValues.model_validate(dict(values))
    except ValidationError as error:
        first = field_errors(error.errors())[0]
        raise NotPossible(first["message"], first["field"].split(".")[0], first["code"]) from error


def make(user: Any, values: Mapping[str, Any]) -> Topic:
    """Make a topic, its maker its owner. Raises NotPossible."""
    given = checked(values)
    if user is not None and Topic.objects.filter(created_by=user).count() >= MOST_TOPICS:
        raise NotPossible(f"You already have {MOST_TOPICS} topics, which is the limit.")
    with transaction.atomic():
        topic: Topic = _named(
            lambda: Topic.objects.create(
                name=given.name, description=given.description, threshold=given.threshold, created_by=user
            )
        )
        if user is not None:
            members.add(topic, user, Role.OWNER)
        _set_rows(topic, given)
    return topic


def change(topic: Topic, values: Mapping[str, Any]) -> None:
    """Change those values of a topic that are given. Raises NotPossible."""
    with transaction.atomic():
        Topic.objects.select_for_update().get(pk=topic.pk)
        topic.refresh_from_db()
        given = checked({**told(topic), **values})  # while nobody else changes it
        own = {name: getattr(given, name) for name in ("name", "description", "threshold")}
        _named(lambda: Topic.objects.filter(pk=topic.pk).update(**own))
        _set_rows(topic, given)
        touch(topic.pk)


def told(topic: Topic) -> dict[str, Any]:
    """Return a topic's values as a person would write them down."""
    return {
        "name": topic.name,
        "description": topic.description,
        "keywords": [one.text for one in sorted(topic.keywords.all(), key=_number)],
        "feeds": [one.url for one in sorted(topic.feeds.all(), key=_number)],
        "threshold": topic.threshold,
    }


def _number(row: Keyword | Feed) -> int:
    return row.pk


def remove(topic: Topic) -> None:
    """Remove a topic with what was judged for it; articles that other topics have stay."""
    users = list(topic.memberships.values_list("user", flat=True))
    with transaction.atomic():
        _forget_schedules(topic)
        Topic.objects.select_for_update().filter(pk=topic.pk).first()
        topic.delete()
    recheck(users)


def set_role(topic: Topic, who: Any, role: str) -> None:
    """Make a user a member with a role, or none with an empty one. Raises NotPossible for the last owner."""
    if role and role not in Role.values:
        raise NotPossible("Choose a role.", "role")
    with transaction.atomic():
        if not members.may_edit(role):
            _forget_schedules(topic, owner=who)
        Topic.objects.select_for_update().filter(pk=topic.pk).first()
        others = TopicMember.objects.filter(topic=topic, role=Role.OWNER).exclude(user=who)
        if role != Role.OWNER and not others.exists():
            raise NotPossible("A topic needs an owner.", "role")
        if role:
            members.add(topic, who, role)
        else:
            TopicMember.objects.filter(topic=topic, user=who).delete()
            recheck([who.pk])
        touch(topic.pk)


def lock(topic: int) -> None:
    """Hold a topic until the transaction ends. Raises SourceError topic_gone.

    Items take it before rows that are the topic's own, as `change` and `remove` do: else each waits for the
    other.
    """
    if not execute("SELECT 1 FROM articles_topic WHERE id = %s FOR UPDATE", [topic]):
        raise SourceError("topic_gone", "The topic was removed.")


def touch(topic: int) -> None:
    """Have open pages of a topic look again."""
    with transaction.atomic():
        rows = Topic.objects.filter(pk=topic)
        if rows.update(version=F("version") + 1):
            publish(f"topic:{topic}", rows.values_list("version", flat=True).get())


def named(user: Any, given: int | str) -> Topic | None:
    """Return the topic of a number or a name that a user sees, or None. Of one name their own comes first."""
    rows = Topic.objects.of(user)
    if isinstance(given, int):
        return rows.filter(pk=given).first() if 0 < given < 2**63 else None
    if "\0" in given:
        return None
    mine = rows.filter(name=given, created_by=user).first()
    return mine or rows.filter(name=given).order_by("pk").first()


def _forget_schedules(topic: Topic, **whose: Any) -> None:
    """Remove schedules that would be refused from now on, each time: see plans.py.

    Before the topic is held: the keeper holds a schedule when it comes to that.
    """
    settle(topic.stream)
    Schedule.objects.filter(source="auto_collect", params={"topic": topic.pk}, **whose).delete()


def _set_rows(topic: Topic, given: TopicValues) -> None:
    """Make keywords and feeds those that are given; those that stay keep what is known of them."""
    now = {fold(text): text for text in given.keywords}
    topic.keywords.exclude(folded__in=now).delete()
    rows = [Keyword(topic=topic, text=text, folded=folded) for folded, text in now.items()]
    Keyword.objects.bulk_create(
        rows, update_conflicts=True, update_fields=["text"], unique_fields=["topic", "folded"]
    )
    topic.feeds.exclude(url__in=given.feeds).delete()
    _add_feeds(topic, given.feeds)


def _add_feeds(topic: Topic, urls: Sequence[str]) -> None:
    Feed.objects.bulk_create([Feed(topic=topic, url=url) for url in urls], ignore_conflicts=True)


def _named(do: Any) -> Any:
    try:
        with transaction.atomic():
            return do()
    except IntegrityError as error:
        if "topic_name_once_a_maker" not in str(error):
            raise
        raise NotPossible("You have a topic of this name already.", "name") from error
