"""Forms made from a source's params: a field for each kind of value, checked again by the params."""

import datetime
import enum
import types
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, Union, cast, get_args, get_origin
from uuid import UUID

from django import forms
from django.core.files.uploadedfile import UploadedFile
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from config.fields import File, Line, Lines, Plain, Text
from ingestion.models import Upload
from ingestion.source import Source, upload_fields
from ingestion.uploads import max_bytes

MAX_TEXT = 10_000  # characters of one text field; params have limits of their own
MAX_LIST = 100_000  # characters of a list, one entry a line
MAX_REASON = 500  # characters of a reviewer's reason

FEW = 2  # optional fields; more of them are folded away

KEPT = "__kept"  # the hidden field beside a file field: a file that was stored before the form was refused


class StartForm(Plain, forms.Form):
    """The fields of one source. `source_form` makes the subclass."""

    source: Source

    def params(self) -> dict[str, Any]:
        """Return what was filled in, as the params want it; empty fields keep their defaults."""
        given = {}
        for name, value in self.cleaned_data.items():
            if name.endswith(KEPT) or value in (None, "", []) or isinstance(value, UploadedFile):
                continue
            given[name] = value.isoformat() if isinstance(value, datetime.date) else value
            if isinstance(value, Decimal):
                given[name] = str(value)
        return given

    def shown(self) -> list[forms.BoundField]:
        """Return the fields to see at once: files, what is required, and the others if they are few."""
        every = self.visible_fields()
        needed = [field for field in every if _is_needed(field.field)]
        return needed if needed and len(every) - len(needed) > FEW else every

    def folded(self) -> list[forms.BoundField]:
        """Return the other fields."""
        shown = {field.name for field in self.shown()}
        return [field for field in self.visible_fields() if field.name not in shown]

    def is_unfolded(self) -> bool:
        """Say whether a folded field has been filled in, or has a problem."""
        if not self.is_bound:
            return False
        return any(field.errors or field.name in self.changed_data for field in self.folded())

    def files_given(self) -> dict[str, "UploadedFile[Any]"]:
        """Return the files by field."""
        return {name: value for name, value in self.cleaned_data.items() if isinstance(value, UploadedFile)}

    def kept(self) -> dict[str, UUID]:
        """Return the uploads of an earlier try by field."""
        return {
            name.removesuffix(KEPT): value
            for name, value in self.cleaned_data.items()
            if name.endswith(KEPT) and value
        }

    def keep(self, name: str, upload: Upload) -> None:
        """Show that a file is here already, so that a refused form does not ask for it again."""
        self._bound_fields_cache.clear()  # type: ignore[attr-defined]  # they have kept the old help text
        self.data = {**self.data.dict(), self.add_prefix(name + KEPT): str(upload.pk)}  # type: ignore[attr-defined]
        self.fields[name].required = False
        self.fields[name].help_text = f"{upload.name} is here already. Choose a file to replace it."

    def add_problems(self, problems: Sequence[Mapping[str, Any]]) -> None:
        """Put the errors of the verb at the fields they are about."""
        for problem in problems:
            name = problem["field"].split(".")[0]
            self.add_error(name if name in self.fields else None, problem["message"])


def source_form(
    source: Source,
    data: Mapping[str, Any] | None = None,
    files: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> StartForm:
    """Return the form that starts a source."""
    uploads = upload_fields(source.params)
    fields: dict[str, forms.Field] = {}
    # Files first: what is said of a file comes after it.
    for name, info in sorted(source.params.model_fields.items(), key=lambda one: one[0] not in uploads):
        choices = source.choices(name)
        if choices is not None:
            fields[name] = forms.ChoiceField(choices=choices)
        else:
            fields[name] = _upload(info) if name in uploads else _field(info)
        _describe(fields[name], name, info)
        if name in uploads:
            fields[name].widget.attrs |= {
                "data-kept": f"start-{name}{KEPT}",
                "data-url": f"/api/uploads?source={source.kind}",
                "data-most": max_bytes(source),
            }
            fields[name + KEPT] = forms.UUIDField(required=False, widget=forms.HiddenInput)
            kept = (data or {}).get(f"start-{name}{KEPT}")
            fields[name].required = fields[name].required and not kept
    cls = type(f"{type(source).__name__}Form", (StartForm,), {**fields, "source": source})
    form: StartForm = cls(data, files, prefix="start", auto_id="id_%s", **kwargs)
    return form


class AnswerForm(Plain, forms.Form):
    """What a person says to a job that waits: yes, no with a reason, or a file."""

    answer = forms.ChoiceField(choices=[("approve", "Approve"), ("reject", "Reject"), ("upload", "Upload")])
    reason = Text(required=False, max_length=MAX_REASON)
    file = File(required=False)

    def clean(self) -> dict[str, Any]:
        """Ask for a reason with a no, and for a file with an upload."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("answer") == "reject" and not cleaned.get("reason"):
            self.add_error("reason", "Say why, so that it can be put right.")
        if cleaned.get("answer") == "upload" and not cleaned.get("file"):
            self.add_error("file", "Choose a file.")
        return cleaned


def _is_needed(field: forms.Field) -> bool:
    return field.required or isinstance(field, forms.FileField)


def _field(info: FieldInfo) -> forms.Field:
    kind, inner = _kind(info.annotation)
    if kind is bool:
        return forms.BooleanField()
    if kind is int:
        return forms.IntegerField(min_value=_limit(info, "ge"), max_value=_limit(info, "le"))
    if kind in (float, Decimal):
        return forms.DecimalField(min_value=_limit(info, "ge"), max_value=_limit(info, "le"))
    if kind is datetime.date:
        return forms.DateField(widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    if kind is Literal:
        return forms.ChoiceField(choices=[(str(value), _label(str(value))) for value in inner])
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return forms.ChoiceField(
            choices=[(one.value, getattr(one, "label", _label(one.name))) for one in kind]
        )
    if kind is list:
        return Lines(max_length=MAX_LIST)
    longest = _limit(info, "max_length")
    return Line(max_length=min(longest or MAX_TEXT, MAX_TEXT))


def _upload(info: FieldInfo) -> forms.Field:
    return File(max_length=255)


def _describe(field: forms.Field, name: str, info: FieldInfo) -> None:
    default = None if info.default is PydanticUndefined else info.default
    field.label = info.title or _label(name)
    field.help_text = info.description or ""
    field.required = info.is_required() and not isinstance(field, forms.BooleanField)
    field.initial = default.value if isinstance(default, enum.Enum) else default
    if isinstance(field, forms.ChoiceField) and not field.required and default is None:
        field.choices = [("", "Any"), *cast("list[tuple[str, str]]", field.choices)]
    if isinstance(field, forms.CharField) and not isinstance(field, Lines):
        field.widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}


def _kind(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return what a field holds, without `| None` and without the annotations around it."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        real = [one for one in get_args(annotation) if one is not type(None)]
        return _kind(real[0]) if len(real) == 1 else (str, ())
    if origin is Literal:
        return Literal, get_args(annotation)
    if origin in (list, set, tuple):
        return list, get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _kind(annotation.__origin__)
    return annotation, ()


def _limit(info: FieldInfo, name: str) -> Any:
    return next((getattr(one, name) for one in info.metadata if getattr(one, name, None) is not None), None)


def _label(name: str) -> str:
    return name.replace("_", " ").strip().capitalize()
