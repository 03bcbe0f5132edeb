"""The forms of the account page."""

from typing import Any, ClassVar
from zoneinfo import available_timezones

from django import forms
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password

from account.models import Appearance
from config import security_log
from config.fields import Line, Plain
from ingestion import tokens

WRONG_PASSWORD = "That is not your password."
EXPIRES = {"30": "30 days", "90": "90 days", "365": "A year", "": "Never"}


class ProfileForm(Plain, forms.ModelForm):  # type: ignore[type-arg]
    """Name and e-mail. Another e-mail needs the password: mail about what one follows goes there."""

    current = forms.CharField(required=False, strip=False, max_length=1_000)

    class Meta:
        model = User
        fields: ClassVar = ["first_name", "email"]
        field_classes: ClassVar = {"first_name": Line}

    def clean_first_name(self) -> str:
        """Return the name with single spaces."""
        return " ".join(str(self.cleaned_data["first_name"]).split())

    def clean(self) -> dict[str, Any]:
        """Ask for the password when the address changes."""
        found: dict[str, Any] = super().clean() or {}
        changed = "email" in found and found["email"] != self.initial.get("email")
        if changed and _is_wrong(self.instance, found.get("current", "")):
            self.add_error("current", WRONG_PASSWORD)
        return found

    def save(self, commit: bool = True) -> Any:
        """Write the name as one: many names do not fall into two."""
        self.instance.last_name = ""
        if commit:
            self.instance.save(update_fields=["first_name", "last_name", "email"])
        return self.instance


class AppearanceForm(Plain, forms.ModelForm):  # type: ignore[type-arg]
    """Zone, theme and shortcuts, for every device."""

    class Meta:
        model = Appearance
        fields: ClassVar = ["zone", "theme", "single_keys"]

    def clean_zone(self) -> str:
        """Refuse a zone that this machine does not know."""
        zone = str(self.cleaned_data["zone"])
        if zone and zone not in available_timezones():
            raise forms.ValidationError("There is no such time zone.")
        return zone


def zones() -> list[str]:
    """Return the zones to choose from: places, not the old names of offsets."""
    places = (name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    return [*sorted(places), "UTC"]


class PasswordForm(Plain, forms.Form):
    """A new password; the one of today is asked for, where there is one."""

    old = forms.CharField(required=False, strip=False, max_length=1_000)
    new = forms.CharField(strip=False, max_length=1_000)

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_old(self) -> str:
        """Check the password of today."""
        old = str(self.cleaned_data["old"])
        if _is_wrong(self.user, old):
            raise forms.ValidationError(WRONG_PASSWORD)
        return old

    def clean_new(self) -> str:
        """Check the new one against the rules of the site."""
        new = str(self.cleaned_data["new"])
        validate_password(new, self.user)
        return new


class TokenForm(Plain, forms.Form):
    """What a token is for, what it may do and how long. One without an end needs the password."""

    name = Line(max_length=100)
    scopes = forms.MultipleChoiceField(choices=[(scope, scope) for scope in tokens.SCOPES])
    days = forms.ChoiceField(choices=list(EXPIRES.items()), required=False)
    current = forms.CharField(required=False, strip=False, max_length=1_000)

    def __init__(self, data: Any = None, *, user: User | None = None) -> None:
        super().__init__(data)
        self.user = user

    def clean(self) -> dict[str, Any]:
        """Ask for the password: who finds a page open must not leave with a key for ever."""
        found: dict[str, Any] = super().clean() or {}
        asked = self.user is not None and found.get("days") == ""
        if asked and self.user is not None and _is_wrong(self.user, found.get("current", "")):
            self.add_error("current", WRONG_PASSWORD)
        return found


class LeavingForm(Plain, forms.Form):
    """The name typed again, and the password where there is one: nobody deletes an account by a slip."""

    username = Line(max_length=150)
    current = forms.CharField(required=False, strip=False, max_length=1_000)

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_username(self) -> str:
        """Check that it is the name of who is signed in."""
        name = str(self.cleaned_data["username"])
        if name != self.user.get_username():
            raise forms.ValidationError(f"Type {self.user.get_username()} to delete this account.")
        return name

    def clean_current(self) -> str:
        """Check the password."""
        current = str(self.cleaned_data["current"])
        if _is_wrong(self.user, current):
            raise forms.ValidationError(WRONG_PASSWORD)
        return current

    def clean(self) -> dict[str, Any]:
        """Refuse to leave the site without anybody who may do everything."""
        others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=self.user.pk)
        if self.user.is_superuser and not others.exists():
            raise forms.ValidationError("You are the only superuser. Make somebody else one first.")
        return super().clean() or {}


def _is_wrong(user: User, typed: str) -> bool:
    """Say whether this is not a person's password, and write a guess down."""
    # Who signs in by link alone has no password to ask for.
    if not user.has_usable_password() or user.check_password(typed):
        return False
    if typed:
        security_log.wrong_password(user)
    return True
