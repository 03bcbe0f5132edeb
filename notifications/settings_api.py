"""The API of what a user wants to hear: preferences, and the lists of what they follow and have muted."""

from typing import Annotated, Any, cast

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from config import paging
from config.http import JsonBody, Limit, StrictModel, StrictQuery, answer
from config.paging import DEFAULT_LIMIT
from config.problems import Problem, invalid
from notifications import abouts, inbox, preferences, types
from notifications.models import Channel, Follow, Mute
from realtime import streams

READ = ["GET", "HEAD"]
router = Router(tags=["notifications"])


class PreferenceIn(StrictModel):
    """One choice."""

    type: Annotated[str, Field(min_length=1, max_length=60, examples=["system"])]
    channel: Annotated[str, Field(pattern=f"^({'|'.join(Channel.values)})$")]
    on: Annotated[bool, Field(strict=True)]


class PreferenceOut(Schema):
    """What the user gets of one type."""

    type: str
    label: str
    channels: dict[str, bool]


class PreferencesOut(Schema):
    """What the user gets of every type."""

    preferences: list[PreferenceOut]


class AboutIn(StrictModel):
    """What to follow or mute."""

    about: Annotated[str, Field(pattern=inbox.ABOUT, examples=["company:12"])]


class AboutFilter(Schema):
    """Which entry."""

    about: Annotated[str, Field(min_length=1, max_length=200, description="For example company:12")]


class AboutsFilter(Schema):
    """Which page of a list."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Annotated[str | None, Field(max_length=5_000)] = None


class AboutOut(Schema):
    """What is followed or muted; `title` and `url` as far as the user may see it."""

    about: str
    title: str
    url: str


class FollowsOut(Schema):
    """A page of what the user follows."""

    follows: list[AboutOut]
    next: str | None


class MutesOut(Schema):
    """A page of what the user has muted."""

    mutes: list[AboutOut]
    next: str | None


@router.api_operation(
    READ, "/notifications/preferences", response=PreferencesOut, operation_id="list_preferences"
)
def list_preferences(request: HttpRequest) -> HttpResponse:
    """Say what you get of each type over each channel."""
    return answer({"preferences": preferences.data(_user_id(request))})


@router.patch("/notifications/preferences", response=PreferencesOut, operation_id="set_preference")
def set_preference(request: HttpRequest, body: Annotated[PreferenceIn, JsonBody(...)]) -> HttpResponse:
    """Choose whether a channel carries a type."""
    if types.find(body.type) is None:
        raise invalid("type", f"Must be one of: {', '.join(types.declared())}.", "literal_error")
    preferences.choose(_user_id(request), body.type, body.channel, body.on)
    return answer({"preferences": preferences.data(_user_id(request))})


@router.api_operation(READ, "/notifications/follows", response=FollowsOut, operation_id="list_follows")
def list_follows(request: HttpRequest, page: Annotated[AboutsFilter, StrictQuery(...)]) -> HttpResponse:
    """List what you follow, newest first."""
    return answer(_page(request, Follow, "follows", page))


@router.post("/notifications/follows", response={204: None}, operation_id="follow")
def follow(request: HttpRequest, body: Annotated[AboutIn, JsonBody(...)]) -> HttpResponse:
    """Be told about something that you may see. Twice is fine."""
    if body.about not in streams.visible(request.user, [body.about]):
        raise Problem("not_found")
    inbox.follow(request.user, body.about)
    return HttpResponse(status=204)


@router.delete("/notifications/follows", response={204: None}, operation_id="unfollow")
def unfollow(request: HttpRequest, chosen: Annotated[AboutFilter, StrictQuery(...)]) -> HttpResponse:
    """Follow something no more."""
    if not Follow.objects.filter(user=_user_id(request), about=chosen.about).exists():
        raise Problem("not_found")
    inbox.unfollow(_user_id(request), chosen.about)
    return HttpResponse(status=204)


@router.api_operation(READ, "/notifications/mutes", response=MutesOut, operation_id="list_mutes")
def list_mutes(request: HttpRequest, page: Annotated[AboutsFilter, StrictQuery(...)]) -> HttpResponse:
    """List what you have muted, newest first."""
    return answer(_page(request, Mute, "mutes", page))


@router.post("/notifications/mutes", response={204: None}, operation_id="mute")
def mute(request: HttpRequest, body: Annotated[AboutIn, JsonBody(...)]) -> HttpResponse:
    """Hear nothing of it: a job, `source:<name>`, an object. Twice is fine."""
    inbox.mute(request.user, body.about)
    return HttpResponse(status=204)


@router.delete("/notifications/mutes", response={204: None}, operation_id="unmute")
def unmute(request: HttpRequest, chosen: Annotated[AboutFilter, StrictQuery(...)]) -> HttpResponse:
    """Hear of something again."""
    if not Mute.objects.filter(user=_user_id(request), about=chosen.about).exists():
        raise Problem("not_found")
    inbox.unmute(_user_id(request), chosen.about)
    return HttpResponse(status=204)


def _page(
    request: HttpRequest, model: type[Follow] | type[Mute], name: str, asked: AboutsFilter
) -> dict[str, Any]:
    scope = paging.Scope(name, _user_id(request), {})
    mine = model.objects.filter(user=_user_id(request)).order_by("-pk")
    after = paging.read_cursor(scope, asked.cursor)
    if after is not None:
        mine = mine.filter(pk__lt=after)
    shown, following = paging.page(list(mine[: asked.limit + 1]), asked.limit, scope, lambda row: row.pk)
    named = abouts.describe(request.user, [row.about for row in shown])
    rows = [{"about": one.about, "title": one.title, "url": one.url} for one in named]
    return {name: rows, "next": following}


def _user_id(request: HttpRequest) -> int:
    return cast(int, request.user.pk)
