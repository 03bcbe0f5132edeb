"""What the API of topics and articles is asked and answers."""

from datetime import datetime
from typing import Literal

from ninja import Schema
from pydantic import Field

from config.http import StrictModel
from ingestion.sources.articles.models import LONGEST_KEYWORD, LONGEST_URL, MOST_FEEDS, MOST_KEYWORDS

LARGEST_ID = 2**63 - 1


class TopicIn(StrictModel):
    """A new topic."""

    name: str = Field(min_length=1, max_length=100)
    description: str = Field("", max_length=1000)
    keywords: list[str] = Field(
        [], max_length=MOST_KEYWORDS, description=f"{LONGEST_KEYWORD} characters each"
    )
    feeds: list[str] = Field(
        [], max_length=MOST_FEEDS, description=f"Addresses, {LONGEST_URL} characters each"
    )
    threshold: float = Field(
        0.3, ge=0, le=1, strict=True, description="Articles of a lower relevance are not kept"
    )


class TopicChange(StrictModel):
    """What to change of a topic; a list replaces the one before."""

    name: str | None = Field(None, min_length=1, max_length=100)
    description: str | None = Field(None, max_length=1000)
    keywords: list[str] | None = Field(None, max_length=MOST_KEYWORDS)
    feeds: list[str] | None = Field(None, max_length=MOST_FEEDS)
    threshold: float | None = Field(None, ge=0, le=1, strict=True)


class TopicRoleIn(StrictModel):
    """What a member of a topic may do."""

    role: Literal["viewer", "editor", "owner"]


class TopicMemberOut(Schema):
    """A member of a topic."""

    user: str
    role: Literal["viewer", "editor", "owner"]


class TopicOut(Schema):
    """A topic as one of its members sees it. articles: that are kept; analysed: those and all others."""

    id: int
    name: str
    description: str
    keywords: list[str]
    feeds: list[str]
    threshold: float
    role: Literal["viewer", "editor", "owner"]
    members: list[TopicMemberOut]
    articles: int
    analysed: int
    created_at: datetime
    stream: str
    url: str


class TopicsOut(Schema):
    """Topics, the newest first."""

    topics: list[TopicOut]
    next: str | None
