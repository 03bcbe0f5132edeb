"""What forms in the admin share: fields have names where Django shows no label, texts are under our rule."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminSplitDateTime
from django.forms import BaseInlineFormSet
from django.forms.utils import pretty_name
from django.http import HttpRequest

from config import texts
from config.fields import Line, Plain

ODD_LINE = "Line {line} contains a character that is not allowed (position {n})."


class PlainTexts(Plain):
    """A form whose texts, whatever fields Django makes for them, hold what texts of ours may hold."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            secret = isinstance(field.widget, forms.PasswordInput)
            if isinstance(field, forms.CharField) and not isinstance(field, Line) and not secret:
                lines = isinstance(field.widget, forms.Textarea)
                field.validators = [*field.validators, _refuse_odd_lines if lines else _refuse_odd]


def plain_form(form: Any) -> Any:
    """Return a form class whose texts are under the rule."""
    return type(form)(form.__name__, (PlainTexts, form), {"__module__": form.__module__})


def _refuse_odd(value: Any) -> None:
    for one in value if isinstance(value, list) else []:
        _refuse_odd(one)
    if not isinstance(value, str):  # a field of JSON has what the text means
        return
    position = texts.odd_at(value)
    if position is not None:
        raise forms.ValidationError(texts.ODD.format(n=position), code="bad_character")
    _refuse_unseen(value)


def _refuse_unseen(value: str) -> None:
    if value and not texts.shows(value):
        raise forms.ValidationError("Nothing of this text can be seen.", code="bad_character")


def _refuse_odd_lines(value: Any) -> None:
    if not isinstance(value, str):
        return
    for number, line in enumerate(value.split("\n"), 1):
        position = texts.odd_at(line.rstrip("\r"), lines=True)
        if position is not None:
            raise forms.ValidationError(ODD_LINE.format(line=number, n=position), code="bad_character")
    _refuse_unseen(value)


class SpokenDateTime(AdminSplitDateTime):
    """A date and a time, each named after the field."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Name both halves: the field's label is of neither."""
        context = super().get_context(name, value, attrs)
        field = pretty_name(name.rpartition("-")[2])
        for half, part in zip(context["widget"]["subwidgets"], ("date", "time"), strict=True):
            half["attrs"]["aria-label"] = f"{field}, {part}"
        return context


class SpokenRows(BaseInlineFormSet):  # type: ignore[type-arg]
    """Rows of fields, each named after its column: the heads of a table are no labels."""

    def add_fields(self, form: Any, index: Any) -> None:
        """Add what every row has, and name all of it."""
        super().add_fields(form, index)
        for name, field in form.fields.items():
            widget = getattr(field.widget, "widget", field.widget)  # inside one with links
            if not widget.is_hidden:
                widget.attrs.setdefault("aria-label", str(field.label or pretty_name(name)))


class SpokenInline(admin.TabularInline):  # type: ignore[type-arg]
    """Rows below a form."""

    formset = SpokenRows

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Return the rows, their texts under the rule for texts."""
        return super().get_formset(request, obj, **{"form": plain_form(self.form), **kwargs})
