"""Problems of the set-up that do not stop a start, as Django system checks."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register()
def unknown_settings(**kwargs: Any) -> list[CheckMessage]:
    """Name settings of ours that nobody reads."""
    return [
        Warning(f"{name} is not a setting of Headway.", hint="See docs/settings.md.", id="headway.W001")
        for name in settings.UNKNOWN_SETTINGS
    ]
