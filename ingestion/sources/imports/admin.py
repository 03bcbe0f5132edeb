"""Definitions and code lists, edited by operators; checked before an import can meet them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest

from config import texts
from config.admin_forms import ODD_LINE, SpokenInline, SpokenRows
from config.admin_lists import BoundedAdmin
from ingestion.access import can_operate, can_view_all
from ingestion.sources.imports import targets
from ingestion.sources.imports.models import Code, CodeList, HeaderMatch, ImportDefinition, TargetColumn

MAX_CODES = 5000  # of a list: each import keeps a copy
MAX_MATCHES = 100  # shown of a definition


class _ByOperators:
    """Seen by operators and by those who see all jobs, changed by operators."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say who may look."""
        return can_view_all(request.user) or can_operate(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Say who finds it on the index."""
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say who may add."""
        return can_operate(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say who may change."""
        return can_operate(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say who may delete."""
        return can_operate(request.user)


class TargetColumns(SpokenRows):
    """The columns of one definition, which must fit together."""

    def clean(self) -> None:
        """Refuse a definition with which nothing could be imported."""
        super().clean()
        if any(self.errors):
            return
        kept = [form for form in self.forms if form.has_changed() or form.instance.pk]
        rows = [form.instance for form in kept if form not in self.deleted_forms]
        found = targets.problems(self.instance.snapshot(rows))
        if found:
            raise forms.ValidationError(found)


class TargetColumnForm(forms.ModelForm):  # type: ignore[type-arg]
    """A target column: one of the register's."""

    name = forms.ChoiceField(choices=[(name, name) for name in targets.FIELDS])

    class Meta:
        model = TargetColumn
        fields = (
            *("position", "name", "label", "type", "codes", "required", "unique", "default"),
            *("longest", "least", "most", "synonyms"),
        )

    def clean(self) -> dict[str, Any]:
        """Refuse a type without its code list, and a list without its type."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if {"type", "codes"} <= cleaned.keys() and (cleaned["type"] == "enum") != bool(cleaned["codes"]):
            self.add_error("codes", "A code list belongs to the type enum, and only to it.")
        return cleaned


class TargetColumnInline(_ByOperators, SpokenInline):
    """The columns of a definition, row by row."""

    model, form, formset = TargetColumn, TargetColumnForm, TargetColumns
    extra = 1
    max_num = len(targets.FIELDS)


class HeaderMatchInline(_ByOperators, SpokenInline):
    """What people said headers mean: looked at and forgotten, not written, here."""

    model = HeaderMatch
    fields = readonly_fields = ("header", "target")
    extra = 0
    max_num = MAX_MATCHES

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds by hand."""
        return False


@admin.register(ImportDefinition)
class ImportDefinitionAdmin(_ByOperators, BoundedAdmin):
    """Definitions with their columns. A running import keeps the copy it began with."""

    list_display = ("name", "slug", "mode", "validity")
    search_fields = ("name", "slug")
    ordering = ("name",)
    inlines = (TargetColumnInline, HeaderMatchInline)


class CodeListForm(forms.ModelForm):  # type: ignore[type-arg]
    """A code list with its codes as text: lists of a thousand codes are pasted, not typed."""

    lines = forms.CharField(
        label="Codes",
        widget=forms.Textarea(attrs={"rows": 20}),
        help_text="one a line: code = label",
        max_length=1_000_000,
    )

    class Meta:
        model = CodeList
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            codes = self.instance.codes.order_by("pk")
            self.initial["lines"] = "\n".join(f"{one.code} = {one.label}" for one in codes)

    def clean_lines(self) -> dict[str, str]:
        """Return {code: label}."""
        found: dict[str, str] = {}
        for number, line in enumerate(self.cleaned_data["lines"].splitlines(), 1):
            code, _, label = (part.strip() for part in line.partition("="))
            if not line.strip():
                continue
            if not code or len(code) > 200 or len(label) > 500:
                raise forms.ValidationError(f"Line {number} must look like: code = label.")
            if (position := texts.odd_at(line.strip())) is not None:
                raise forms.ValidationError(ODD_LINE.format(line=number, n=position))
            if code in found:
                raise forms.ValidationError(f"Line {number}: {code} is there twice.")
            found[code] = label
        if len(found) > MAX_CODES:
            raise forms.ValidationError(f"At most {MAX_CODES:,} codes.")
        return found


@admin.register(CodeList)
class CodeListAdmin(_ByOperators, BoundedAdmin):
    """Code lists that columns of definitions name."""

    form = CodeListForm
    list_display = ("name",)
    search_fields = ("name",)
    ordering = ("name",)

    def save_model(self, request: HttpRequest, obj: CodeList, form: Any, change: bool) -> None:
        """Keep the list and exactly these codes."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            obj.codes.all().delete()
            Code.objects.bulk_create(
                Code(codes=obj, code=code, label=label) for code, label in form.cleaned_data["lines"].items()
            )
