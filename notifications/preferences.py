"""Who wants what over which channel: a choice of the user's own, else what the type is declared with."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.core import signing
from django.db import transaction

from notifications import types
from notifications.models import Channel, Preference

# Of a type that nobody declares any more.
FALLBACK = frozenset(types.CHANNELS)
_SALT = "headway.unsubscribe"


@dataclass(frozen=True)
class Choice:
    """What a user gets of one type."""

    type: types.Type
    channels: frozenset[str]


def default(type_name: str) -> frozenset[Channel]:
    """Return the channels of a type for who never chose."""
    found = types.find(type_name)
    return found.channels if found is not None else FALLBACK


def of_users(user_ids: Collection[int], type_name: str) -> dict[int, frozenset[str]]:
    """Return the channels that carry this type to each of these users, in one query."""
    wanted: dict[int, set[str]] = {user: set(default(type_name)) for user in user_ids}
    chosen = Preference.objects.filter(user__in=user_ids, type=type_name)
    for user, channel, when in chosen.values_list("user_id", "channel", "when"):
        (wanted[user].discard if when == "off" else wanted[user].add)(channel)
    return {user: frozenset(channels) for user, channels in wanted.items()}


def of_user(user_id: int) -> list[Choice]:
    """Return what a user gets of each declared type, in one query."""
    chosen = {
        (type_name, channel): when
        for type_name, channel, when in Preference.objects.filter(user=user_id).values_list(
            "type", "channel", "when"
        )
    }
    return [
        Choice(
            declared,
            frozenset(
                channel
                for channel in Channel.values
                if chosen.get((name, channel), "instant" if channel in declared.channels else "off") != "off"
            ),
        )
        for name, declared in types.declared().items()
    ]


def choose(user_id: int, type_name: str, channel: str, on: bool) -> None:
    """Keep what a user chose. Raises ValueError with a sentence for what does not exist."""
    choose_all(user_id, [(type_name, channel, on)])


def choose_all(user_id: int, choices: Iterable[tuple[str, str, bool]]) -> None:
    """Keep several choices (type, channel, on) at once. Raises ValueError as `choose` does."""
    rows = []
    for type_name, channel, on in choices:
        if types.find(type_name) is None:
            raise ValueError(f"There is no type {type_name!r}; one of: {', '.join(types.declared())}.")
        if channel not in Channel.values:
            raise ValueError(f"There is no channel {channel!r}; one of: {', '.join(Channel.values)}.")
        when = "instant" if on else "off"
        rows.append(Preference(user_id=user_id, type=type_name, channel=channel, when=when))
    Preference.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["user", "type", "channel"],
        update_fields=["when"],
    )


def data(user_id: int) -> list[dict[str, Any]]:
    """Return a user's preferences as API and `--json` show them."""
    return [
        {
            "type": choice.type.name,
            "label": choice.type.label,
            "channels": {channel: channel in choice.channels for channel in Channel.values},
        }
        for choice in of_user(user_id)
    ]


# ---- leaving by mail --------------------------------------------------------------------------------------


def unsubscribe_token(user_id: int, type_name: str) -> str:
    """Return what proves that a mail of this type went to this user; it is good for ever (RFC 8058)."""
    return signing.dumps([user_id, type_name], salt=_SALT)


def read_token(token: str) -> tuple[int, str] | None:
    """Return the user and type that a token was made for, None when it is not ours."""
    try:
        user_id, type_name = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return int(user_id), str(type_name)


def unsubscribe(user_id: int, type_name: str, *, everything: bool = False) -> None:
    """Send a user no more mail of this type, or none at all. One who is gone gets none anyway."""
    names = set(types.declared()) | {type_name} if everything else {type_name}
    with transaction.atomic():
        if not get_user_model().objects.select_for_update(no_key=True).filter(pk=user_id).exists():
            return
        # Also of a type that is declared no longer: its mails are still in somebody's hands.
        off = {"user_id": user_id, "channel": Channel.EMAIL, "when": "off"}
        Preference.objects.bulk_create(
            [Preference(type=name, **off) for name in sorted(names)],
            update_conflicts=True,
            unique_fields=["user", "type", "channel"],
            update_fields=["when"],
        )
