"""The forms of schedules, in the admin and on their pages: checked as the command checks them."""

from typing import Any, ClassVar

from django import forms

from config.fields import CHOOSE, Line, Plain
from ingestion import schedules
from ingestion.models import Schedule
from ingestion.source import registry

CHECKED = ("name", "source", "params", "cron", "zone")


class ScheduleForm(Plain, forms.ModelForm):  # type: ignore[type-arg]
    """A whole schedule."""

    class Meta:
        model = Schedule
        fields: tuple[str, ...] = ("name", "source", "params", "cron", "zone", "owner", "paused")
        field_classes: ClassVar = {"name": Line, "cron": Line, "zone": Line}
        help_texts = {
            "cron": "minute hour day month weekday, for example 0 6 * * *",
            "zone": "for example Europe/Oslo",
            "params": "a JSON object",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "source" in self.fields:
            choices = [(kind, source.label) for kind, source in registry().items()]
            told = {"invalid_choice": CHOOSE}  # the field is made too late for Plain
            self.fields["source"] = forms.ChoiceField(choices=choices, error_messages=told)

    def clean(self) -> dict[str, Any]:
        """Refuse what would never start."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "params" in cleaned:
            cleaned["params"] = cleaned["params"] or {}
        if not self.errors.keys() & set(CHECKED):
            given = {name: cleaned.get(name, getattr(self.instance, name)) for name in CHECKED}
            for name, text in schedules.check(Schedule(**given)).items():
                self.add_error(name if name in self.fields else None, text)
        return cleaned


class TimesForm(ScheduleForm):
    """What is changed on a schedule's page: its name and its times."""

    class Meta(ScheduleForm.Meta):
        fields = ("name", "cron", "zone")
