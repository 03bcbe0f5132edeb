"""The API of topics and their articles. What you are no member of is not there."""

from typing import Annotated, Any

from django.db.models import Count, Prefetch, prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from ninja import Router

from config import paging
from config.http import JsonBody, StrictQuery, answer
from config.problems import Problem, invalid
from ingestion import idempotency, sharing
from ingestion.api_requests import PageFilter
from ingestion.errors import NotPossible
from ingestion.sources.articles import members, topics
from ingestion.sources.articles.api_shapes import (
    LARGEST_ID,
    TopicChange,
    TopicIn,
    TopicOut,
    TopicRoleIn,
    TopicsOut,
)
from ingestion.sources.articles.models import Analysis, Role, Topic, TopicMember

READ = ["GET", "HEAD"]
router = Router(tags=["topics"])
_RANKS = {Role.VIEWER: 0, Role.EDITOR: 1, Role.OWNER: 2}


@router.api_operation(READ, "/topics", response=TopicsOut, operation_id="list_topics")
def list_topics(request: HttpRequest, asked: Annotated[PageFilter, StrictQuery(...)]) -> HttpResponse:
    """List the topics that you are a member of, the newest first."""
    scope = paging.Scope("topics", request.user.pk or 0, {})
    after = paging.read_cursor(scope, asked.cursor)
    rows = Topic.objects.of(request.user).order_by("-pk")
    if after is not None:
        rows = rows.filter(pk__lt=after)
    shown, following = paging.page(list(rows[: asked.limit + 1]), asked.limit, scope, lambda one: one.pk)
    return answer({"topics": all_as_json(request.user, shown), "next": following})


@router.post("/topics", response={201: TopicOut}, operation_id="create_topic")
def create_topic(request: HttpRequest, body: Annotated[TopicIn, JsonBody(...)]) -> HttpResponse:
    """Make a topic."""

    def do() -> tuple[int, dict[str, Any]]:
        try:
            return 201, as_json(request.user, topics.make(request.user, body.model_dump()))
        except NotPossible as error:
            raise invalid(error.field or "name", error.message, error.code) from error

    return idempotency.once(request, do)


@router.api_operation(READ, "/topics/{int:topic_id}", response=TopicOut, operation_id="get_topic")
def get_topic(request: HttpRequest, topic_id: int) -> HttpResponse:
    """Return a topic."""
    return answer(as_json(request.user, topic_of(request, topic_id)))


@router.patch("/topics/{int:topic_id}", response=TopicOut, operation_id="change_topic")
def change_topic(
    request: HttpRequest, topic_id: int, body: Annotated[TopicChange, JsonBody(...)]
) -> HttpResponse:
    """Change what a topic is. Owners only."""
    found = topic_of(request, topic_id, Role.OWNER)
    try:
        topics.change(found, body.model_dump(exclude_none=True))
    except NotPossible as error:
        raise invalid(error.field or "name", error.message, error.code) from error
    return answer(as_json(request.user, topic_of(request, topic_id)))


@router.delete("/topics/{int:topic_id}", response={204: None}, operation_id="delete_topic")
def delete_topic(request: HttpRequest, topic_id: int) -> HttpResponse:
    """Remove a topic with what was judged for it. Owners only."""
    topics.remove(topic_of(request, topic_id, Role.OWNER))
    return HttpResponse(status=204)


@router.put("/topics/{int:topic_id}/members/{username}", response=TopicOut, operation_id="set_topic_member")
def set_topic_member(
    request: HttpRequest, topic_id: int, username: str, body: Annotated[TopicRoleIn, JsonBody(...)]
) -> HttpResponse:
    """Add a member, or give one another role. Owners only."""
    return _set_role(request, topic_id, username, body.role)


@router.delete(
    "/topics/{int:topic_id}/members/{username}", response=TopicOut, operation_id="remove_topic_member"
)
def remove_topic_member(request: HttpRequest, topic_id: int, username: str) -> HttpResponse:
    """Take a member out; the last owner stays. Owners only."""
    return _set_role(request, topic_id, username, "")


# ---- inside -----------------------------------------------------------------------------------------------


def topic_of(request: HttpRequest, pk: int, least: str = Role.VIEWER) -> Topic:
    """Return a topic that the caller may use so. Raises Problem."""
    found = Topic.objects.of(request.user).filter(pk=pk).first() if pk <= LARGEST_ID else None
    role = members.role_of(request.user, found.pk) if found is not None else ""
    if found is None or role not in _RANKS:
        raise Problem("not_found")
    if _RANKS[Role(role)] < _RANKS[Role(least)]:
        raise Problem("permission_denied")
    return found


def as_json(user: Any, topic: Topic) -> dict[str, Any]:
    """Return a topic as API and commands tell it."""
    return all_as_json(user, [topic])[0]


def all_as_json(user: Any, rows: list[Topic]) -> list[dict[str, Any]]:
    """Return topics as `as_json` does, with as many queries for many as for one."""
    people = TopicMember.objects.select_related("user").order_by("pk")
    prefetch_related_objects(rows, "keywords", "feeds", Prefetch("memberships", people))
    judged = Analysis.objects.filter(topic__in=rows).values("topic")
    counted = judged.annotate(kept=Count("kept_at"), all=Count("pk")).values_list("topic", "kept", "all")
    counts = {topic: (kept, every) for topic, kept, every in counted}
    return [_told(user, one, *counts.get(one.pk, (0, 0))) for one in rows]


def _told(user: Any, topic: Topic, kept: int, analysed: int) -> dict[str, Any]:
    members_now = topic.memberships.all()
    return {
        "id": topic.pk,
        **topics.told(topic),
        "role": next((one.role for one in members_now if one.user_id == user.pk), Role.VIEWER),
        "members": [{"user": one.user.get_username(), "role": one.role} for one in members_now],
        "articles": kept,
        "analysed": analysed,
        "created_at": topic.created_at,
        "stream": topic.stream,
        "url": topic.get_absolute_url(),
    }


def _set_role(request: HttpRequest, topic_id: int, username: str, role: str) -> HttpResponse:
    found = topic_of(request, topic_id, Role.OWNER)
    sharing.from_api(found, username, role, topics.set_role)
    return answer(as_json(request.user, found))  # an owner who left is told once more
