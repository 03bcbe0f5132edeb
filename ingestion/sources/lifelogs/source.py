"""Ingest lifelogs day by day: each day is read whole, stored, and called complete once it can be."""

import re
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Any, ClassVar, Literal

import structlog
from django.conf import settings
from django.db import transaction
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ingestion.admission import invalid
from ingestion.models import ItemState, Job
from ingestion.run import Run
from ingestion.source import Outcome, Source, SourceError, SourceParams, Step, register
from ingestion.sources.lifelogs import accounts, services, spans, storing
from ingestion.sources.lifelogs.models import Account, Day, Ingestion
from ingestion.sources.lifelogs.services import Client
from ingestion.sources.lifelogs.types import DAY_COMPLETE
from ingestion.sources.lifelogs.walking import Walk, walk
from ingestion.steps import StepHandle
from notifications import inbox

log = structlog.get_logger(__name__)

MODES = ("sync", "day", "range", "month", "incomplete", "watch")
WATCH_ROUNDS, WATCH_SECONDS = 12, 6.0  # of the sample: how often, and how long between
WATCH_WEEKS = 8  # of the sample, before the day that one watches
Date = date  # a param is called as the type is
Look = tuple[date, str]  # a day, and what tells it from an earlier look of the same job at it
MOST_LOOKS = 3  # at a day to which items move while it is read
_MONTH = re.compile(r"(19|20)[0-9]{2}-(0[1-9]|1[0-2])", re.ASCII)


class Params(SourceParams):
    """Whose days, and which."""

    account: int | None = Field(
        default=None,
        ge=1,
        le=2**63 - 1,
        description="Number of an account of yours; without it the first one",
    )
    mode: Literal["sync", "day", "range", "month", "incomplete", "watch"] = Field(
        default="day", description="day, range, month, incomplete; sync is what the schedule does"
    )
    date: Date | None = Field(default=None, description="Of mode day; without it today")
    start: Date | None = Field(default=None, description="Of mode range: its first day")
    end: Date | None = Field(default=None, description="Of mode range: its last day")
    month: str = Field(default="", max_length=7, description="Of mode month, for example 2026-11")

    @model_validator(mode="after")
    def _fits(self) -> "Params":
        if self.mode == "range":
            if self.start is None or self.end is None:
                raise PydanticCustomError("range_missing", "A range has a first and a last day.")
            if not 0 <= (self.end - self.start).days < spans.MOST_DAYS:
                raise PydanticCustomError("range_length", "A range has 1 to 366 days.")
        if self.mode == "month" and not _MONTH.fullmatch(self.month):
            raise PydanticCustomError("month_form", "Write a month as 2026-11.")
        for day in (self.date, self.start):
            if day is not None and not spans.OLDEST <= day <= Date(9000, 1, 1):
                raise PydanticCustomError("day_range", "There are no days before 2000.")
        return self


@register
class Lifelogs(Source):
    """What a lifelog service recorded, day by day: partial while a day lasts, then complete."""

    kind, label, params = accounts.KIND, "Lifelogs", Params
    description = "Bring what your lifelog service recorded, and know when a day is complete."
    title = "Lifelogs"
    steps: ClassVar[list[Step]] = [Step("days", "Days")]
    item_noun = "days"
    page, page_label, page_icon = "lifelogs:home", "Days", "day"
    limit_key, key_limit = "{account}", 2  # a day on demand need not wait for a month
    # Without an account of one's own the sample answers; its past days are complete at once.
    example: ClassVar[dict[str, Any]] = {"mode": "range", "start": "2024-03-09", "end": "2024-03-11"}

    def run(self, job: Run, p: Params) -> Outcome:
        """Read what there is of each day."""
        account = accounts.check_active(accounts.find(job.owner, p.account))
        with _opened(job, account) as client:
            if p.mode == "watch":
                return self.watch(job, account, client)
            found = job.once("days", lambda: _plan(account, p, client.clock()))
            days = [date.fromisoformat(text) for text in found["days"]]
            tell_complete(job, account)  # of an attempt that was lost in between
            with job.step("days", f"Reading {len(days)} days" if len(days) > 1 else "") as step:
                self.read_all(job, step, account, client, days)
        if p.mode == "sync":
            note_sync(job, account, datetime.fromisoformat(found["at"]))
        # Four times a day: who wants to hear of it chose "day is complete".
        return _outcome(account, days, quiet=p.mode == "sync")

    def read_all(
        self, job: Run, step: StepHandle, account: Account, client: Client, days: list[date]
    ) -> None:
        """Read and store days, then those between which an item moved meanwhile.

        All of them each time, for what an attempt has registered and does not list is given up.
        """
        looks: list[Look] = []
        while len(looks) < len(
            wanted := {**{(day, ""): None for day in days}, **_again(job, account, client)}
        ):
            looks = list(wanted)
            self.read(job, step, account, client, looks)

    def read(self, job: Run, step: StepHandle, account: Account, client: Client, looks: list[Look]) -> None:
        """Read and store days."""
        known = storing.known_ids(account, {day for day, _ in looks})

        def fetch(look: Look) -> Walk:
            return walk(client, look[0], account.local, known[look[0]])

        values = step.items(looks, key=_key, label=lambda look: _label(look[0]), fetch=fetch, threads=2)
        for item in values:
            day = item.value[0]
            with item:
                stored = storing.save(job, account, day, item.fetched)
                if stored.stale:
                    item.skip("A newer look at this day is stored already.")
                else:
                    item.url = Day(account=account, date=day).get_absolute_url()
                    item.result = _said(stored)
            if item.error is None and item.result and item.result["completed"]:
                tell_complete(job, account, day)
            elif isinstance(item.error, accounts.AccountGone):
                raise item.error  # the service is asked no more
        if client.refusal is not None:
            accounts.refused(account, client.refusal)
            raise client.refusal

    def watch(self, job: Run, account: Account, client: Client) -> Outcome:
        """Bring the sample's last weeks, then its current day again and again until that is complete."""
        if not account.is_sample:
            raise SourceError("no_sample", "Only the sample can be watched like this.")
        start = job.once("day", lambda: spans.today(account, client.clock()).isoformat())
        day = date.fromisoformat(start)
        with job.step("days", "Bringing the weeks before") as step:
            before = spans.incomplete(account, client.clock(), WATCH_WEEKS)
            self.read(job, step, account, client, [(one, "") for one in sorted({*before, day})])
            for turn in range(1, WATCH_ROUNDS + 1):
                if account.days.filter(date=day, ingestion_status=Ingestion.COMPLETE).exists():
                    break
                job.sleep(WATCH_SECONDS)
                self.read(job, step, account, client, [(day, f"#{turn}")])
        return _outcome(account, [day])

    def unique_key(self, p: Params) -> str | None:
        """Say that the same days of an account are the same work."""
        days = {"day": p.date, "range": f"{p.start}-{p.end}", "month": p.month}.get(p.mode, "")
        return f"{p.account or 'first'}:{p.mode}:{days or ''}"

    def describe(self, p: Params) -> tuple[str, str]:
        """Say in the title what is read."""
        said = {
            "sync": "Sync lifelogs",
            "day": "Sync a day" if p.date else "Sync today",
            "range": "Sync a range of days",
            "month": "Bring a month",
            "incomplete": "Sync incomplete days",
            "watch": "Watch the sample's days",
        }
        about = {"day": p.date and p.date.isoformat(), "range": f"{p.start} to {p.end}", "month": p.month}
        return said[p.mode], about.get(p.mode) or ""

    def limit_key_of(self, p: Params) -> str:
        """Return the account, as far as it is named."""
        return f"account {p.account}" if p.account else ""

    def can_start(self, user: Any, p: Params) -> None:
        """Refuse accounts of somebody else, and those that may not ask their service."""
        if user is None:
            raise SourceError("permission_denied", "Days belong to somebody: say who.")
        account = accounts.find(user, p.account)
        if p.account is not None and account is None:
            raise invalid("account", "There is no such account.")
        if account is not None:
            accounts.check_active(account)
        elif settings.PRODUCTION:  # elsewhere the sample answers
            raise SourceError("no_account", "Connect an account first.")

    def created(self, job: Job, p: Params) -> None:
        """Say what the job is about; give who has no account the sample's."""
        account = accounts.find(job.owner, p.account) or accounts.sample_of(job.owner)
        if p.mode == "day" and p.date is not None:
            job.object = Day(account=account, date=p.date).stream
        else:
            job.object = account.stream
        job.save(update_fields=["object"])

    def ended(self, job: Job) -> None:
        """Have the days that could not be read say so."""
        failed = job.items.filter(
            step="days",
            state__in=(ItemState.FAILED, ItemState.QUARANTINED),
            version__gt=1,  # of this job: those of an earlier one come with its first version
        )
        troubles = {
            date.fromisoformat(key.partition("#")[0]): storing.Trouble(error, started)
            for key, error, started in failed.order_by("pk").values_list("key", "error", "started_at")
        }
        for day, trouble in troubles.items():
            log.warning("day_not_read", job=str(job.pk), date=day.isoformat(), error=trouble.text)
        if troubles and job.object:
            account = int(job.object.split(":")[1])
            # Not in this transaction: it holds the job's row, and items lock their account before their job.
            transaction.on_commit(partial(storing.note_troubles, account, troubles), robust=True)


def tell_complete(job: Run, account: Account, only: date | None = None) -> None:
    """Tell the owner which days became complete, if they want to hear it: once a day."""
    items = Job.objects.get(pk=job.id).items.filter(step="days", result__completed=True)
    if only is not None:
        items = items.filter(key__startswith=only.isoformat())
    dates = {key.partition("#")[0] for key in items.values_list("key", flat=True)}
    for day in account.days.filter(date__in=dates, ingestion_status=Ingestion.COMPLETE).order_by("date"):
        said = "1 item" if day.items_count == 1 else f"{day.items_count:,} items"
        inbox.notify(
            [account.owner_id],
            DAY_COMPLETE,
            f"{day} is complete",
            text=f"{services.get(account.service).label} data arrived: {said}",
            url=day.get_absolute_url(),
            about=account.stream,
            group_key=day.stream,
            version=day.completed_version,
        )


def note_sync(job: Run, account: Account, began: datetime) -> None:
    """Keep when a sync began of which every day was read: the next one begins there."""
    if not Job.objects.get(pk=job.id).items_failed:
        Account.objects.filter(pk=account.pk).update(synced_from=began)


def _opened(job: Run, account: Account) -> Any:
    try:
        key = accounts.key_of(account)
    except services.KeyRefused as error:
        accounts.refused(account, error)
        raise
    born = account.created_at if account.is_sample else None
    return services.get(account.service).open(job, key, account.fingerprint, born)


def _plan(account: Account, p: Params, now: datetime) -> dict[str, Any]:
    makers: dict[str, Callable[[], list[date]]] = {
        "sync": lambda: spans.of_sync(account, now),
        "day": lambda: spans.of_day(account, p.date or spans.today(account, now), now),
        "range": lambda: spans.of_range(account, p.start or spans.OLDEST, p.end or spans.OLDEST, now),
        "month": lambda: spans.of_month(account, p.month, now),
        "incomplete": lambda: spans.incomplete(account, now),
    }
    return {"at": now.isoformat(), "days": [day.isoformat() for day in makers[p.mode]()]}


def _key(look: Look) -> str:
    return f"{look[0].isoformat()}{look[1]}"


def _said(stored: storing.Stored) -> dict[str, Any]:
    found: dict[str, Any] = {
        "new": stored.new,
        "changed": stored.changed,
        "deleted": stored.deleted,
        "completed": stored.completed,
    }
    if stored.again:
        found["again"] = sorted(day.isoformat() for day in stored.again)
    return found


def _again(job: Run, account: Account, client: Client) -> dict[Look, None]:
    """Return the days that are to be read once more, by what the looks of this job have found."""
    last, found = spans.today(account, client.clock()), set()
    items = Job.objects.get(pk=job.id).items.filter(step="days", result__has_key="again")
    for key, days in items.values_list("key", "result__again"):
        number = int(key.partition("#")[2] or 1) + 1
        for day in map(date.fromisoformat, days):
            if number <= MOST_LOOKS and spans.OLDEST <= day <= last:
                found.add((day, f"#{number}"))
    return dict.fromkeys(sorted(found))


def _label(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"


def _outcome(account: Account, days: list[date], *, quiet: bool = False) -> Outcome:
    complete = account.days.filter(date__in=days, ingestion_status=Ingestion.COMPLETE).count()
    if len(days) == 1:
        text = f"{_label(days[0])} is {'complete' if complete else 'partial so far'}"
        url = Day(account=account, date=days[0]).get_absolute_url()
    else:
        text, url = f"{complete} of {len(days)} days are complete", account.get_absolute_url()
    data = {"account": account.pk, "days": len(days), "complete": complete}
    return Outcome(text=text, url=url, data=data, quiet=quiet)
