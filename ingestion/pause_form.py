"""The form with which operators pause something."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms

from config.fields import Line, Plain
from ingestion import pauses
from ingestion.source import QUEUES, registry


class PauseForm(Plain, forms.Form):
    """What to pause, for how long, and what everybody is told of it."""

    LENGTHS: ClassVar = {
        "": "Until it is resumed",
        "15m": "15 minutes",
        "1h": "1 hour",
        "4h": "4 hours",
        "24h": "24 hours",
    }
    scope = forms.ChoiceField(label="What")
    until = forms.ChoiceField(label="For how long", choices=list(LENGTHS.items()), required=False)
    reason = Line(label="Why", max_length=300, help_text="Everybody reads it")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "pause-%s", **kwargs})
        scopes = ["all", *(f"queue:{name}" for name in QUEUES), *(f"source:{kind}" for kind in registry())]
        self.fields["scope"].choices = [(scope, pauses.named(scope)) for scope in scopes]  # type: ignore[attr-defined]

    def length(self) -> timedelta | None:
        """Return for how long, None: until it is resumed."""
        text = self.cleaned_data["until"]
        if not text:
            return None
        return timedelta(minutes=int(text[:-1])) if text.endswith("m") else timedelta(hours=int(text[:-1]))
