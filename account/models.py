"""How pages look and behave for a person, on every device."""

from django.conf import settings
from django.db import models


class Theme(models.TextChoices):
    """Light, dark, or what the device says."""

    SYSTEM = "", "As the device"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class Appearance(models.Model):
    """A person's choices; who has chosen nothing has no row."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="appearance"
    )
    zone = models.CharField(max_length=64, blank=True, default="")  # empty: the device's
    theme = models.CharField(max_length=5, blank=True, default="", choices=Theme)
    single_keys = models.BooleanField(default=True)  # shortcuts of one key (WCAG 2.1.4)

    def __str__(self) -> str:
        return f"appearance of user {self.user_id}"


def appearance_of(user: object) -> Appearance:
    """Return a user's choices, what holds without any for others. No query: `account.backends` reads both."""
    found = getattr(user, "appearance", None)
    return found if isinstance(found, Appearance) else Appearance()
