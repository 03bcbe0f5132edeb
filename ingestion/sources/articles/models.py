"""Topics with their keywords, members and feeds; articles; and what each article says of a topic."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from ingestion.sources.articles.words import LONGEST_KEYWORD as LONGEST_KEYWORD
from realtime.streams import Versioned

LONGEST_URL = 2048  # characters; what an index of PostgreSQL holds is a little more
MOST_KEYWORDS = 50  # of a topic
MOST_FEEDS = 50  # of a topic
MOST_SIGNS = 200  # characters of an ETag or of a Last-Modified that we keep


class Role(models.TextChoices):
    """What a member may do: read; start analyses and keep articles as well; and all the rest."""

    VIEWER = "viewer"
    EDITOR = "editor"
    OWNER = "owner"


class TopicQuerySet(models.QuerySet["Topic"]):
    def of(self, user: Any) -> "TopicQuerySet":
        """Keep those whose member this user is."""
        return self.filter(memberships__user=user) if user.is_active else self.none()


class Topic(Versioned):
    """What articles are looked for and judged by: its members share what was found."""

    name = models.CharField(max_length=100)
    description = models.CharField(max_length=1000, blank=True, default="")
    # Articles that are judged lower are analysed and told, and not kept with the topic.
    threshold = models.FloatField(default=0.3, validators=[MinValueValidator(0), MaxValueValidator(1)])
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    collected_at = models.DateTimeField(null=True)  # when its feeds were last gone through
    checked_at = models.DateTimeField(null=True)  # when its keywords were last looked for

    objects = TopicQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="topic_name_once_a_maker", fields=["created_by", "name"]),
            models.CheckConstraint(
                name="topic_threshold_is_a_share", condition=Q(threshold__gte=0, threshold__lte=1)
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the path of the topic's page."""
        return reverse("articles:topic", args=[self.pk])

    @property
    def stream(self) -> str:
        """Return the name of the topic's stream."""
        return f"topic:{self.pk}"


class TopicMember(models.Model):
    """A user's place in a topic."""

    topic = models.ForeignKey(Topic, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=6, choices=Role)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="topic_member_once", fields=["topic", "user"]),
        ]

    def __str__(self) -> str:
        return f"{self.user} of {self.topic}"


class Keyword(models.Model):
    """A word or a phrase by which articles of a topic are recognised."""

    topic = models.ForeignKey(Topic, on_delete=models.CASCADE, related_name="keywords", db_index=False)
    text = models.CharField(max_length=LONGEST_KEYWORD)  # as it was typed
    folded = models.CharField(max_length=2 * LONGEST_KEYWORD)  # as it is compared: see words.fold
    checked_at = models.DateTimeField(null=True)  # when articles were last searched for it
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="keyword_once_a_topic", fields=["topic", "folded"]),
            models.CheckConstraint(name="keyword_is_a_word", condition=~Q(folded="")),
        ]

    def __str__(self) -> str:
        return self.text


class Article(models.Model):
    """A page's text, once for all topics; found by its canonical address."""

    url = models.CharField(max_length=LONGEST_URL, unique=True)
    title = models.CharField(max_length=500)
    text = models.TextField()
    author = models.CharField(max_length=300, blank=True, default="")
    site = models.CharField(max_length=200, blank=True, default="")
    description = models.CharField(max_length=1000, blank=True, default="")
    language = models.CharField(max_length=8, blank=True, default="")  # ISO 639-1; empty: not known
    published_at = models.DateTimeField(null=True)  # as the page says
    fetched_at = models.DateTimeField(db_default=Now())
    characters = models.PositiveIntegerField()
    text_hash = models.CharField(max_length=64)  # SHA-256 of the folded text: the same text elsewhere
    notes = ArrayField(models.CharField(max_length=200), default=list)  # what its reader should know

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="article_text_once", fields=["text_hash"]),
            models.CheckConstraint(name="article_has_text", condition=~Q(text="")),
        ]

    def __str__(self) -> str:
        return self.title


class Address(models.Model):
    """An address where an article was fetched, or that led there."""

    url = models.CharField(max_length=LONGEST_URL, unique=True)
    article = models.ForeignKey(Article, on_delete=models.CASCADE, related_name="addresses")

    def __str__(self) -> str:
        return self.url


class Analysis(models.Model):
    """What an article says of a topic. An article is in a topic when it is kept there."""

    topic = models.ForeignKey(Topic, on_delete=models.CASCADE, related_name="analyses", db_index=False)
    article = models.ForeignKey(Article, on_delete=models.CASCADE, related_name="analyses")
    relevance = models.FloatField()  # 0 to 1
    sentiment = models.FloatField(null=True)  # -1 to 1; null: not judged in this language
    summary = models.TextField(blank=True, default="")
    model = models.CharField(max_length=200)  # which judged it, and in which version
    notes = ArrayField(models.CharField(max_length=200), default=list)
    job = models.UUIDField(null=True)  # that judged it; jobs are deleted, judgements stay
    analysed_at = models.DateTimeField(db_default=Now())
    kept_at = models.DateTimeField(
        null=True
    )  # since when it is kept with the topic; null: below the threshold

    class Meta:
        verbose_name_plural = "analyses"
        constraints: ClassVar = [
            models.UniqueConstraint(name="analysis_once_a_topic", fields=["topic", "article"]),
            models.CheckConstraint(
                name="analysis_relevance_is_a_share", condition=Q(relevance__gte=0, relevance__lte=1)
            ),
            models.CheckConstraint(
                name="analysis_sentiment_is_signed",
                condition=Q(sentiment=None) | Q(sentiment__gte=-1, sentiment__lte=1),
            ),
        ]
        indexes: ClassVar = [
            # the articles of a topic's page, and its counts a day
            models.Index(name="analysis_kept", fields=["topic", "-kept_at", "-id"]),
            # what a bulk job has found
            models.Index(name="analysis_of_job", fields=["job"]),
        ]

    def __str__(self) -> str:
        return f"{self.article} in {self.topic}"

    def get_absolute_url(self) -> str:
        """Return the path of the article as this topic shows it."""
        return reverse("articles:article", args=[self.topic_id, self.article_id])


class Match(models.Model):
    """A keyword of the topic that stands in an article, and how often."""

    analysis = models.ForeignKey(Analysis, on_delete=models.CASCADE, related_name="matches", db_index=False)
    keyword = models.ForeignKey(Keyword, on_delete=models.CASCADE, related_name="matches")
    count = models.PositiveIntegerField()
    found_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "matches"
        constraints: ClassVar = [
            models.UniqueConstraint(name="match_once", fields=["analysis", "keyword"]),
            models.CheckConstraint(name="match_is_one", condition=Q(count__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.keyword} {self.count}"


class Term(models.Model):
    """A word that an article speaks of often, in the order of its weight."""

    article = models.ForeignKey(Article, on_delete=models.CASCADE, related_name="terms", db_index=False)
    ordinal = models.PositiveSmallIntegerField()
    text = models.CharField(max_length=LONGEST_KEYWORD)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="term_once", fields=["article", "ordinal"]),
        ]

    def __str__(self) -> str:
        return self.text


class Feed(models.Model):
    """A feed of a topic, and by what its host recognises what we have of it."""

    topic = models.ForeignKey(Topic, on_delete=models.CASCADE, related_name="feeds", db_index=False)
    url = models.CharField(max_length=LONGEST_URL)
    title = models.CharField(max_length=300, blank=True, default="")
    etag = models.CharField(max_length=MOST_SIGNS, blank=True, default="")
    last_modified = models.CharField(max_length=MOST_SIGNS, blank=True, default="")
    fetched_at = models.DateTimeField(null=True)  # when it last answered well
    failing_since = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True, default="")  # why it fails, for people
    error_code = models.CharField(max_length=50, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="feed_once_a_topic", fields=["topic", "url"]),
            models.CheckConstraint(
                name="feed_error_iff_failing",
                condition=(Q(failing_since=None) & Q(error=""))
                | (Q(failing_since__isnull=False) & ~Q(error="")),
            ),
        ]

    def __str__(self) -> str:
        return self.title or self.url


class Entry(models.Model):
    """An entry of a feed that was seen, so that it is new once: by its id, or by what it links to."""

    class Outcome(models.TextChoices):
        """What came of it."""

        NEW = "new"
        MATCHED = "matched"  # kept with the topic
        UNMATCHED = "unmatched"  # no keyword stands in it, or it is judged below the threshold
        FAILED = "failed"

    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="entries", db_index=False)
    key = models.CharField(max_length=64)  # SHA-256 of the id, else of link, else of title and text
    url = models.CharField(max_length=LONGEST_URL, blank=True, default="")  # empty: it links nowhere
    title = models.CharField(max_length=500, blank=True, default="")
    author = models.CharField(max_length=300, blank=True, default="")
    published_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(db_default=Now(), editable=False)
    outcome = models.CharField(max_length=9, choices=Outcome, default=Outcome.NEW)
    article = models.ForeignKey(Article, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        verbose_name_plural = "entries"
        constraints: ClassVar = [
            models.UniqueConstraint(name="entry_once_a_feed", fields=["feed", "key"]),
        ]
        indexes: ClassVar = [
            # what nobody has gone through yet
            models.Index(name="entry_new", fields=["feed", "id"], condition=Q(outcome="new")),
        ]

    def __str__(self) -> str:
        return self.title or self.url


class Robots(models.Model):
    """What a host lets robots read, kept for a while so that all workers ask once."""

    origin = models.CharField(max_length=300, unique=True)  # https://news.example:8443
    text = models.TextField(blank=True, default="")
    status = models.PositiveSmallIntegerField()  # of the answer
    read_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "robots"

    def __str__(self) -> str:
        return self.origin


class ServiceCalls(models.Model):
    """How often the service that judges articles was asked on a day, by all workers together."""

    day = models.DateField(primary_key=True)  # UTC
    calls = models.PositiveIntegerField()

    class Meta:
        verbose_name_plural = "service calls"

    def __str__(self) -> str:
        return f"{self.day} {self.calls}"
