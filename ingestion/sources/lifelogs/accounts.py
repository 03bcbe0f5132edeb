"""Accounts: adding one, its key, pausing it, and what its owner is told when the key is refused."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.urls import reverse

from config import sealing, texts
from ingestion import lifecycle, schedules
from ingestion.admission import Refused
from ingestion.errors import NotPossible
from ingestion.models import Schedule
from ingestion.source import SourceError
from ingestion.sources.lifelogs import services
from ingestion.sources.lifelogs.models import Account
from ingestion.sources.lifelogs.sample import standin
from ingestion.sources.lifelogs.types import KEY_REFUSED
from notifications import inbox
from realtime.publish import publish

KIND = "lifelogs"
SEALED = "lifelog-key"  # for what the keys are kept, see config/sealing.py
MOST_KEY = 500  # characters
MOST_ACCOUNTS = 20  # of a user
EVERY_HOURS = 6
SAMPLE = "Sample"
MOST_LABEL = 100  # characters
BAD_LENGTH = f"A name has 1-{MOST_LABEL} characters."


class AccountGone(SourceError):
    """An account is paused, revoked or deleted: for it nothing is asked and nothing is stored."""


def of(user: Any) -> list[Account]:
    """Return a user's accounts, the one that is shown first at the beginning."""
    if user is None or not getattr(user, "is_authenticated", False):
        return []
    # What has no key any more comes after the others, the sample last.
    rows = Account.objects.filter(owner=user).annotate(forgotten=Q(status=Account.Status.REVOKED))
    return list(rows.order_by("is_sample", "forgotten", "pk"))


def find(user: Any, pk: int | None) -> Account | None:
    """Return an account of a user, the first one unless told which. One of somebody else is not there."""
    every = of(user)
    return next((one for one in every if pk is None or one.pk == pk), None)


def sample_of(user: Any) -> Account:
    """Return the account of a user at the service that we made up; it is made with its first use."""
    values = {"service": standin.SERVICE, "label": SAMPLE, "zone": standin.ZONE}
    return Account.objects.get_or_create(owner=user, is_sample=True, defaults=values)[0]


def add(user: Any, service: str, key: str, zone: str, label: str = "") -> Account:
    """Make an account that is synced every six hours. Raises NotPossible."""
    known = next((one for one in services.known() if one.name == service), None)
    if known is None:
        raise NotPossible("There is no such service.", "service")
    check_zone(zone)
    if Account.objects.filter(owner=user).count() >= MOST_ACCOUNTS:
        raise NotPossible(f"You have {MOST_ACCOUNTS} accounts, which is the limit.")
    account = Account(owner=user, service=service, zone=zone, label=_label(label) or known.label)
    _give_key(account, key)
    try:
        with transaction.atomic():
            account.save(force_insert=True)
            minute = account.pk % 60  # not all accounts in one minute
            schedules.put(
                Schedule(
                    name=f"Days of {account.label}"[:200],
                    source=KIND,
                    params={"account": account.pk, "mode": "sync"},
                    cron=f"{minute} {account.pk % EVERY_HOURS}-23/{EVERY_HOURS} * * *",
                    zone=zone,
                    owner=user,
                )
            )
    except IntegrityError as error:
        raise NotPossible("You have an account with this key already.", "key") from error
    return account


def begin(account: Account) -> str:
    """Start the first sync of an account that was added. Return why that is refused, else an empty text."""
    try:
        lifecycle.create(KIND, {"account": account.pk, "mode": "sync"}, owner=account.owner)
    except Refused as refused:
        return refused.message
    return ""


def give_key(account: Account, key: str) -> None:
    """Replace the key of an account, which then goes on. Raises NotPossible."""
    if account.is_sample:
        raise NotPossible("The sample has no key.", "key")
    _give_key(account, key)
    try:
        with transaction.atomic():
            values: dict[str, Any] = {"sealed_key": account.sealed_key, "fingerprint": account.fingerprint}
            _move(account, status=Account.Status.ACTIVE, reason="", **values)
            _start_schedules(account)
    except IntegrityError as error:
        raise NotPossible("You have an account with this key already.", "key") from error


def revoke(account: Account) -> None:
    """Forget the key of an account; what was brought stays. Raises NotPossible."""
    if account.is_sample:
        raise NotPossible("The sample has no key.", "key")
    with transaction.atomic():
        _move(account, status=Account.Status.REVOKED, reason="", sealed_key="", fingerprint="")
        _stop_schedules(account)


def pause(account: Account, reason: str = "") -> bool:
    """Ask the service no more until somebody says so. Return False when that was so already."""
    return _pause(account, reason)


def resume(account: Account) -> bool:
    """Let a paused account go on. Return False when it was not paused."""
    with transaction.atomic():
        changed = _move(account, {"status": Account.Status.PAUSED}, status=Account.Status.ACTIVE, reason="")
        if changed:
            _start_schedules(account)
    return changed


def refused(account: Account, error: SourceError) -> None:
    """Pause an account whose key is not taken any more, and tell its owner, once.

    account: as it was when the service was asked. One that was given another key meanwhile goes on.
    """
    with transaction.atomic():
        if _pause(account, error.message, fingerprint=account.fingerprint):
            inbox.notify(
                [account.owner_id],
                KEY_REFUSED,
                f"{account.label} is paused",
                text=error.message,
                url=reverse("lifelogs:accounts"),
                about=account.stream,
            )


def delete(account: Account) -> None:
    """Forget an account with all that was brought."""
    with transaction.atomic():
        _schedules(account).delete()
        Account.objects.filter(pk=account.pk).delete()
        inbox.forget([account.stream])


def _label(given: str) -> str:
    """Return a name that may be kept, "" for one of which nothing shows. Raises NotPossible."""
    if len(given.strip()) > MOST_LABEL:
        raise NotPossible(BAD_LENGTH, "label")
    try:
        return texts.refuse(given.strip()) if texts.shows(given) else ""
    except ValueError as error:
        raise NotPossible(str(error), "label") from error


def rename(account: Account, label: str) -> None:
    """Give an account another name. Raises NotPossible."""
    wanted = _label(label)
    if not wanted:
        raise NotPossible(BAD_LENGTH, "label")
    _move(account, label=wanted)


def key_of(account: Account) -> str:
    """Return the key of an account. Raises SourceError when it cannot be opened."""
    if account.is_sample:
        return ""
    try:
        return sealing.unseal(account.sealed_key, SEALED)
    except ValueError as error:
        text = "The key of this account can no longer be read. Give it again."
        raise services.KeyRefused("key_unreadable", text) from error


def check_active(account: Account | None) -> Account:
    """Return an account that may ask its service. Raises AccountGone."""
    if account is None:
        raise AccountGone("no_account", "There is no such account any more.")
    if account.status != Account.Status.ACTIVE:
        text = account.reason or f"The account {account.label} is {account.get_status_display().lower()}."
        raise AccountGone("account_paused", text)
    return account


def check_zone(zone: str) -> None:
    """Raise NotPossible for what is no time zone."""
    if zone not in available_timezones():
        raise NotPossible("There is no such time zone; for example Europe/Oslo.", "zone")
    ZoneInfo(zone)


def fingerprint(service: str, key: str) -> str:
    """Return what tells keys apart and does not tell what they are."""
    secret = f"headway.lifelog-fingerprint:{settings.SECRET_KEY}".encode()
    return hmac.new(secret, f"{service}:{key}".encode(), hashlib.sha256).hexdigest()[:16]


def _give_key(account: Account, key: str) -> None:
    key = key.strip()
    if not key or len(key) > MOST_KEY or not (key.isascii() and key.isprintable()) or " " in key:
        raise NotPossible("A key is one word of letters, digits and signs.", "key")
    account.sealed_key = sealing.seal(key, SEALED)
    account.fingerprint = fingerprint(account.service, key)


def _pause(account: Account, reason: str, **was: Any) -> bool:
    with transaction.atomic():
        was["status"] = Account.Status.ACTIVE
        changed = _move(account, was, status=Account.Status.PAUSED, reason=reason[:300])
        if changed:
            _stop_schedules(account)
    return changed


def _move(account: Account, was: Mapping[str, Any] | None = None, **values: Any) -> bool:
    with transaction.atomic():
        rows = Account.objects.filter(pk=account.pk, **(was or {}))
        if not rows.update(version=F("version") + 1, **values):
            return False
        account.refresh_from_db()
        publish(account.stream, account.version)
    return True


def _schedules(account: Account) -> Any:
    return Schedule.objects.filter(owner=account.owner_id, source=KIND, params__account=account.pk)


def _stop_schedules(account: Account) -> None:
    """Pause what runs for an account. One that its owner has paused is not among what goes on with it."""
    running = list(_schedules(account).filter(paused=False).values_list("pk", flat=True))
    for pk in running:
        schedules.set_paused(pk, True)
    Account.objects.filter(pk=account.pk).update(stopped=[*account.stopped, *running])


def _start_schedules(account: Account) -> None:
    for pk in _schedules(account).filter(pk__in=account.stopped).values_list("pk", flat=True):
        schedules.set_paused(pk, False)
    Account.objects.filter(pk=account.pk).update(stopped=[])
