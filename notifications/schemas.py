"""The shapes of the inbox's API, for its documentation and its readers; `entries.json_of` fills them."""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from ninja import Schema
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from config.http import Limit, Moment, StrictModel
from config.paging import DEFAULT_LIMIT
from notifications.listing import MAX_SEARCH, View
from notifications.telling import MAX_TEXT, MAX_TITLE

_ID = re.compile(r"-?[1-9][0-9]{0,14}", re.ASCII)


def _read_id(value: Any) -> int:
    if not _ID.fullmatch(str(value)):
        raise PydanticCustomError("int_parsing", "Not an id.")
    return int(value)


def _read_bool(value: Any) -> Any:
    # pydantic also reads "on", "yes" and "1", which the documentation does not name.
    if value not in ("true", "false", True, False):
        raise PydanticCustomError("bool_parsing", "Must be true or false.")
    return value in ("true", True)


EntryId = Annotated[int, BeforeValidator(_read_id), Field(description="Of a broadcast: negative")]


class InboxFilter(Schema):
    """Which notifications to list."""

    unread_only: Annotated[
        bool, BeforeValidator(_read_bool), Field(description="The same as `view=unread`")
    ] = False
    view: View = "inbox"
    group: Annotated[str | None, Field(min_length=1, max_length=60, description="A group of types")] = None
    q: Annotated[
        str | None, Field(min_length=1, max_length=MAX_SEARCH, description="In title or message")
    ] = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Annotated[str | None, Field(max_length=5_000, description="`next` of the last answer")] = None


class BeforeIn(StrictModel):
    """What is meant by "all": nothing that came later."""

    before: Annotated[Moment | None, Field(description="Only what was last changed by this time")] = None


class SnoozeIn(StrictModel):
    """Until when; null: until what it is about has ended or needs you."""

    until: Annotated[Moment | None, Field(description="A time to come, with its zone")]


class CreateIn(StrictModel):
    """What somebody is told. Without `username`: yourself; null: everybody."""

    LINES: ClassVar = frozenset({"message"})
    username: Annotated[str | None, Field(min_length=1, max_length=150)] = None
    type: Annotated[str, Field(min_length=1, max_length=60)] = "system"
    title: Annotated[str, Field(min_length=1, max_length=MAX_TITLE)]
    message: Annotated[str, Field(max_length=MAX_TEXT)] = ""
    link: Annotated[str, Field(max_length=1000, description="A path of this site, or an allowed host")] = ""


class NotificationOut(Schema):
    """One line of an inbox."""

    id: EntryId
    type: str
    group: str
    level: Literal["info", "success", "warning", "error"]
    title: str
    message: str
    link: str | None
    href: str | None
    about: str | None
    version: int
    unread: bool
    broadcast: bool
    created_at: datetime
    updated_at: datetime
    seen_at: datetime | None
    read_at: datetime | None
    archived_at: datetime | None
    snoozed_at: datetime | None
    snoozed_until: datetime | None


class NotificationsOut(Schema):
    """A page of notifications, newest first."""

    notifications: list[NotificationOut]
    next: str | None


class UnreadOut(Schema):
    """How many are unread."""

    unread_count: int


class TouchedOut(UnreadOut):
    """How many were changed, and how many are unread now."""

    count: int


class CreatedOut(Schema):
    """What was made: a notification, or one for everybody."""

    created: int
    broadcast: bool
