"""What forms in the admin say to who hears them: a name for each field that Django shows without a label."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.widgets import AdminSplitDateTime
from django.forms import BaseInlineFormSet
from django.forms.utils import pretty_name


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
