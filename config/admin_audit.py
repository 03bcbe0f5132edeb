"""Every write in the admin is in the audit log, in the transaction of the write (SEC69)."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.actions import delete_selected
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest

from config import audit

SECRET = ("password", "secret", "token", "key", "hash")  # in a field's name: its values are not kept

# Django's own notes what goes and deletes it in two transactions.
admin.site.add_action(transaction.atomic(delete_selected), "delete_selected")


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Writes down what was added, changed (before and after) and deleted."""

    personal: ClassVar[tuple[str, ...]] = ()  # fields of which only that they changed is kept

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Return Django's own words for its history, and write ours: it has the form, after it was saved."""
        row = getattr(form, "instance", None) or form.user  # Django's form of passwords has a user
        inline = [one for rows in formsets or () for one in rows.forms if one.has_changed()]
        audit.write(
            "admin.add" if add else "admin.change",
            named(row),
            request.user,
            changed={
                f"{one.prefix} {name}" if one.prefix else name: self._moved(one, name, add)
                for one in (form, *inline)
                for name in one.changed_data
            },
        )
        return super().construct_change_message(request, form, formsets, add)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Write down what goes, before it goes."""
        for row in queryset:
            audit.write("admin.delete", named(row), request.user)
        return super().log_deletions(request, queryset)

    def _moved(self, form: Any, name: str, add: bool) -> Any:
        if name in self.personal or any(word in name for word in SECRET):
            return None
        if name == "DELETE":  # a row below the form's own: what it was
            return [str(form.initial), None]
        after = _plain(form.cleaned_data.get(name))
        return after if add else [_plain(form.initial.get(name)), after]


def named(row: Model) -> str:
    """Return a row's name in the audit log, as streams are named."""
    return f"{row._meta.model_name}:{row.pk}"


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        return value.pk
    if hasattr(value, "model"):  # a queryset
        return [_plain(one) for one in value]
    if isinstance(value, dict):  # a list of codes has thousands; a text is cut
        return str(value)
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
