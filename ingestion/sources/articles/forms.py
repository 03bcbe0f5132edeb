"""The form of a topic: one keyword a line, one feed a line."""

from typing import Any

from django import forms

from config.fields import File, Line, Lines, Plain
from ingestion.errors import NotPossible
from ingestion.sources.articles import lists
from ingestion.sources.articles.models import LONGEST_URL, Topic
from ingestion.sources.articles.topics import change, make, told


class UrlsForm(Plain, forms.Form):
    """Pages to read and judge: typed or pasted, from a file, from a feed, or from all of them."""

    KINDS = (("bulk_analysis", "Keep what is relevant"), ("bulk_save", "Keep all of them"))

    urls = Lines(rows=12, required=False, label="Addresses", help_text="One a line")
    file = File(
        required=False,
        label="From a file",
        help_text="Text with one address a line, or a table (.csv) with one in each row; 1 MB at most",
        widget=forms.FileInput(attrs={"accept": ".txt,.csv,text/plain,text/csv"}),
    )
    feed = Line(
        required=False, max_length=LONGEST_URL, label="From a feed", help_text="Its address: RSS or Atom"
    )
    kind = forms.ChoiceField(choices=KINDS, required=False, label="What to keep")

    def __init__(self, topic: Topic, *args: Any) -> None:
        super().__init__(*args)
        self.fields["feed"].widget.attrs["list"] = "feeds"
        self.feeds = topic.feeds.order_by("pk")

    def clean_file(self) -> list[str]:
        """Return the addresses in the file."""
        given = self.cleaned_data["file"]
        if given is None:
            return []
        try:
            return lists.in_file(given.read(lists.MOST_FILE + 1), given.name)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """Refuse a form that names nothing. (S2.31)"""
        given = super().clean() or self.cleaned_data
        if not self.errors and not (given["urls"] or given["file"] or given["feed"]):
            self.add_error("urls", "Give at least one address, a file or a feed.")
        return given

    def params(self, topic: Topic) -> dict[str, Any]:
        """Return what the job is asked to do."""
        given = self.cleaned_data
        return {"topic": topic.pk, "urls": [*given["urls"], *given["file"]], "feed": given["feed"]}


class TopicForm(Plain, forms.Form):
    """What a topic is."""

    name = Line(max_length=100)
    description = Line(
        max_length=1000,
        required=False,
        help_text="A sentence or two: articles are compared with it",
    )
    keywords = Lines(required=False, help_text="One word or phrase a line")
    feeds = Lines(required=False, help_text="One address of an RSS or Atom feed a line")
    threshold = forms.FloatField(
        min_value=0,
        max_value=1,
        initial=0.3,
        help_text="Articles of a lower relevance are not kept: 0 keeps all",
    )

    def save(self, user: Any, topic: Topic | None = None) -> Topic | None:
        """Make or change the topic; return None, with the field's error set, when that is not possible."""
        try:
            if topic is None:
                return make(user, self.cleaned_data)
            change(topic, self.cleaned_data)
        except NotPossible as error:
            self.add_error(error.field or None, error.message)
            return None
        return topic

    @classmethod
    def of(cls, topic: Topic, data: Any = None) -> "TopicForm":
        """Return the form with what the topic is now."""
        return cls(data, initial=told(topic))
