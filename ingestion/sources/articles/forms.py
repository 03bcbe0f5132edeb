"""The form of a topic: one keyword a line, one feed a line."""

from typing import Any

from django import forms

from ingestion.sources.articles.models import Topic
from ingestion.sources.articles.topics import NotPossible, change, make, told


class LinesField(forms.CharField):
    """Several values, one a line."""

    def __init__(self, rows: int = 4, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"rows": rows, "spellcheck": "false"})
        super().__init__(**{"required": False, **kwargs}, widget=widget, strip=False)

    def to_python(self, value: Any) -> Any:
        """Return the lines that say something."""
        return [line.strip() for line in str(super().to_python(value)).splitlines() if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        """Return the values as they are typed."""
        return "\n".join(value) if isinstance(value, list) else value

    def run_validators(self, value: Any) -> None:
        """Leave it to who takes the values: limits count them, not characters."""


class UrlsForm(forms.Form):
    """Pages to read and judge."""

    urls = LinesField(rows=12, required=True, label="Addresses", help_text="One a line")


class TopicForm(forms.Form):
    """What a topic is."""

    name = forms.CharField(max_length=100, strip=True)
    description = forms.CharField(
        max_length=1000,
        strip=True,
        required=False,
        help_text="A sentence or two: articles are compared with it",
    )
    keywords = LinesField(help_text="One word or phrase a line")
    feeds = LinesField(help_text="One address of an RSS or Atom feed a line")
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
