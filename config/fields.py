"""Fields of forms for texts from strangers: what such a text may hold is said in texts.py."""

from collections.abc import Callable
from typing import Any

from django import forms

from config import texts
from config.problems import PROBLEMS

CHOOSE = "Choose one of these."  # Django's own sentence repeats what was sent


class Plain:
    """A form that sends nothing back that steers: what was typed shows with a mark, no error repeats it."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if "invalid_choice" in field.error_messages:
                field.error_messages["invalid_choice"] = CHOOSE
            if not isinstance(field, Line):
                field.prepare_value = _marking(field.prepare_value)  # type: ignore[method-assign, assignment]


def _marking(prepare: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def marked(value: Any) -> Any:
        # What is shown, not what that is made of: JSON writes escapes out, and tells by a type what is none.
        shown = prepare(value)
        return texts.marked(shown) if isinstance(shown, str) else shown

    return marked


class File(forms.FileField):
    """A file."""

    default_error_messages = {"empty": PROBLEMS["file_empty"][1]}


class Line(forms.CharField):
    """A text of one line. One of which nothing shows is empty."""

    lines = False

    def to_python(self, value: Any) -> Any:
        """Return the text without the space around it."""
        text = super().to_python(value)
        return text if texts.shows(text or "") else self.empty_value

    def validate(self, value: Any) -> None:
        """Refuse what steers what shows it."""
        super().validate(value)
        position = texts.odd_at(value or "", lines=self.lines)
        if position is not None:
            raise forms.ValidationError(texts.ODD.format(n=position), code="bad_character")

    def prepare_value(self, value: Any) -> Any:
        """Show what was typed, with a mark for what steers."""
        return texts.marked(value) if isinstance(value, str) else value


class Text(Line):
    """A text of several lines."""

    lines = True
    widget = forms.Textarea


class Lines(forms.CharField):
    """A list of texts, one a line. rows: how high it shows. max_length: characters of all of them."""

    def __init__(self, *, rows: int = 4, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"rows": rows, "spellcheck": "false"})
        super().__init__(**kwargs, widget=widget)

    def clean(self, value: Any) -> Any:
        """Return the lines that are not empty."""
        return [line.strip() for line in super().clean(value).splitlines() if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        """Show a list as lines."""
        return "\n".join(value) if isinstance(value, list) else value
