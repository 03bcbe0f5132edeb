"""The trend of a topic: how many articles a day, and in what mood. A day without articles is a gap."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from django.db.models import Avg, Count
from django.db.models.functions import Coalesce, Least, TruncDate

from ingestion.sources.articles.models import Topic

DAYS = 30
POSITIVE = 0.1  # from where a mood is one
LEFT, TOP, FLOOR, WIDTH = 34, 14, 110, 586  # of the drawing, in its own units
ZERO, HALF = 145, 25  # of its second half: where neither mood is, and how far one goes


@dataclass(frozen=True)
class Day:
    """A day. sentiment: the mean of what was judged, -1 to 1; None where nothing was."""

    day: date
    articles: int
    sentiment: float | None


@dataclass(frozen=True)
class Mark:
    """A day as it is drawn: how many above, their mood below."""

    day: Day
    x: float
    width: float
    y: float
    height: float
    mood: str = ""  # the data-status that colours it; empty: nothing was judged
    mood_y: float = 0
    mood_height: float = 0

    @property
    def middle(self) -> float:
        """Return where its date stands."""
        return self.x + self.width / 2


@dataclass(frozen=True)
class Trend:
    """The drawing. most: articles of the highest day. text: all of it in a sentence. days: as a table."""

    marks: Sequence[Mark]
    most: int
    text: str
    days: Sequence[Day]


def days_of(topic: Topic, today: date) -> list[Day]:
    """Return the last days, the oldest first, by when articles were published, else when they were kept.

    Days are those of UTC. A date that lies ahead of when the article was kept is a mistake of its page.
    """
    first = today - timedelta(days=DAYS - 1)
    when = TruncDate(Coalesce(Least("article__published_at", "kept_at"), "kept_at"), tzinfo=UTC)
    rows = topic.analyses.filter(kept_at__isnull=False).annotate(day=when).filter(day__gte=first)
    found = {
        day: Day(day, articles, sentiment)
        for day, articles, sentiment in rows.values_list("day").annotate(Count("pk"), Avg("sentiment"))
    }
    days = (first + timedelta(days=n) for n in range(DAYS))
    return [found.get(day, Day(day, 0, None)) for day in days]


def trend(topic: Topic, today: date | None = None) -> Trend | None:
    """Draw a topic's last days, or nothing where none has an article."""
    days = days_of(topic, today or datetime.now(UTC).date())
    most = max(one.articles for one in days)
    if not most:
        return None
    wide = WIDTH / len(days)
    marks = [_mark(one, LEFT + n * wide, wide, most) for n, one in enumerate(days)]
    total = sum(one.articles for one in days)
    judged = [(one.sentiment, one.articles) for one in days if one.sentiment is not None]
    text = f"{total:,} article{'s' * (total != 1)} in {DAYS} days, at most {most:,} a day."
    if judged:
        mean = sum(mood * count for mood, count in judged) / sum(count for _, count in judged)
        text += f" Mean sentiment {mean:+.2f}."
    return Trend(marks, most, text, [one for one in reversed(days) if one.articles])


def _mark(one: Day, x: float, wide: float, most: int) -> Mark:
    height = (FLOOR - TOP) * one.articles / most
    mark = Mark(one, x + 1, wide - 2, FLOOR - height, height)
    if one.sentiment is None:
        return mark
    size = max(abs(one.sentiment) * HALF, 1.0)
    status = "complete" if one.sentiment > POSITIVE else "failed" if one.sentiment < -POSITIVE else "running"
    return replace(mark, mood=status, mood_y=ZERO - (size if one.sentiment > 0 else 0), mood_height=size)
