"""The API of days, their items, syncing, search and accounts. Everybody sees their own."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from config import paging
from config.http import DEFAULT_PAGE, IsoDate, JsonBody, Limit, StrictModel, StrictQuery, answer
from config.problems import Problem, invalid
from ingestion import idempotency, lifecycle
from ingestion.errors import NotPossible
from ingestion.models import Job
from ingestion.sources.lifelogs import accounts, day_page, finding, spans
from ingestion.sources.lifelogs.models import Account, DataItem, Day
from ingestion.sources.lifelogs.streams import parse_date
from ingestion.sources.lifelogs.views import LARGEST_ID

READ = ["GET", "HEAD"]
MOST_DAYS = 400  # of one answer
router = Router(tags=["days"])


class AccountFilter(Schema):
    """Whose: the number of an account; without it the first one."""

    account: int | None = Field(None, ge=1, le=LARGEST_ID)


class DaysFilter(AccountFilter):
    """Which days: from and to, both included; without them the last 8 weeks."""

    since: IsoDate | None = Field(None, alias="from")
    until: IsoDate | None = Field(None, alias="to")


class DayItemsFilter(Schema):
    """Which items: all of these words."""

    q: str = Field(min_length=1, max_length=finding.MAX_QUERY)
    limit: Limit = DEFAULT_PAGE
    cursor: str | None = None


class SyncIn(StrictModel):
    """What to read."""

    account: int | None = Field(None, ge=1, le=LARGEST_ID)
    mode: Literal["sync", "range", "month", "incomplete"] = "incomplete"
    start: IsoDate | None = None
    end: IsoDate | None = None
    month: str = Field("", max_length=7)


class AccountIn(StrictModel):
    """An account. The key is kept encrypted and never told again."""

    service: str = Field("limitless", max_length=30)
    key: str = Field(max_length=accounts.MOST_KEY)
    zone: str = Field(max_length=64)
    label: str = Field("", max_length=100)


class AccountChange(StrictModel):
    """What changes: its name, its key, or whether it is paused."""

    label: str | None = Field(None, max_length=100)
    key: str | None = Field(None, max_length=accounts.MOST_KEY)
    paused: bool | None = None


class AccountOut(Schema):
    """An account. Its key is not in it."""

    id: int
    service: str
    label: str
    zone: str
    status: str
    reason: str
    sample: bool
    synced_from: datetime | None
    version: int
    stream: str


class AccountsOut(Schema):
    """All accounts of the user."""

    accounts: list[AccountOut]


class DayOut(Schema):
    """A day. status: partial or complete. version 0: never looked at."""

    account: int
    source: str
    date: date
    status: str
    items: int
    version: int
    completed_at: datetime | None
    changed_after_completion: bool
    synced_at: datetime | None
    error: str
    stream: str


class DaysOut(Schema):
    """Days in their order."""

    days: list[DayOut]


class DayItemOut(Schema):
    """Something that was recorded."""

    id: str
    title: str
    markdown: str
    contents: list[Any]
    started_at: datetime
    ended_at: datetime
    starred: bool
    date: date
    ingestion_status: str
    updated_at: datetime


class WholeDayOut(DayOut):
    """A day with all that was recorded on it."""

    data_items: list[DayItemOut]


class SyncOut(Schema):
    """The job that reads."""

    job: UUID
    created: bool


class DayItemsFoundOut(Schema):
    """A page of items."""

    items: list[DayItemOut]
    next: str | None


@router.api_operation(READ, "/days/", response=DaysOut, operation_id="list_days")
def list_days(request: HttpRequest, filters: Annotated[DaysFilter, StrictQuery(...)]) -> HttpResponse:
    """List days that were looked at, in their order."""
    account = _account(request, filters.account)
    today = spans.today(account, day_page.clock_of(account))
    until = filters.until or today
    since = filters.since or date.fromordinal(max(1, until.toordinal() - 55))
    if not 0 <= (until - since).days < MOST_DAYS:
        raise Problem("bad_parameter", name="from", reason=f"1 to {MOST_DAYS} days before to")
    rows = account.days.filter(date__gte=since, date__lte=until).order_by("date")
    return answer({"days": [_day(account, one) for one in rows]})


@router.api_operation(READ, "/days/search", response=DayItemsFoundOut, operation_id="search_days")
def search(request: HttpRequest, filters: Annotated[DayItemsFilter, StrictQuery(...)]) -> HttpResponse:
    """Find your items in which all words occur, the newest first."""
    scope = paging.Scope("found", request.user.pk or 0, {"q": filters.q})
    after = paging.read_cursor(scope, filters.cursor)
    before = None if after is None else (datetime.fromisoformat(after[0]), int(after[1]))
    found = list(finding.newest(request.user, filters.q.replace("\0", ""), filters.limit + 1, before))
    shown, following = paging.page(
        found, filters.limit, scope, lambda one: [one.started_at.isoformat(), one.pk]
    )
    return answer({"items": [_item(one) for one in shown], "next": following})


@router.api_operation(READ, "/days/accounts", response=AccountsOut, operation_id="list_lifelog_accounts")
def list_accounts(request: HttpRequest) -> HttpResponse:
    """List your accounts."""
    return answer({"accounts": [_told(one) for one in accounts.of(request.user)]})


@router.post("/days/accounts", response={201: AccountOut}, operation_id="add_lifelog_account")
def add_account(request: HttpRequest, body: Annotated[AccountIn, JsonBody(...)]) -> HttpResponse:
    """Connect an account; it is synced now and every six hours."""
    try:
        account = accounts.add(request.user, body.service, body.key, body.zone, body.label)
    except NotPossible as error:
        raise _problem(error) from error
    accounts.begin(account)
    return answer(_told(account), status=201)


@router.patch("/days/accounts/{int:pk}", response=AccountOut, operation_id="change_lifelog_account")
def change_account(
    request: HttpRequest, pk: int, body: Annotated[AccountChange, JsonBody(...)]
) -> HttpResponse:
    """Give an account another name or key, pause it, or let it go on."""
    account = _account(request, pk)
    try:
        with transaction.atomic():
            if body.label is not None:
                accounts.rename(account, body.label)
            if body.key is not None:
                accounts.give_key(account, body.key)
            if body.paused is not None:
                (accounts.pause if body.paused else accounts.resume)(account)
    except NotPossible as error:
        raise _problem(error) from error
    account.refresh_from_db()
    return answer(_told(account))


@router.delete("/days/accounts/{int:pk}", response={204: None}, operation_id="delete_lifelog_account")
def delete_account(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget an account with all its days."""
    accounts.delete(_account(request, pk))
    return HttpResponse(status=204)


@router.post("/days/sync", response={200: SyncOut, 201: SyncOut}, operation_id="sync_days")
def sync_days(request: HttpRequest, body: Annotated[SyncIn, JsonBody(...)]) -> HttpResponse:
    """Read several days: a range, a month, or those that are incomplete."""
    params = body.model_dump(mode="json", exclude_none=True)
    params["account"] = _account(request, body.account).pk
    return _sync(request, params)


@router.api_operation(READ, "/days/{str:text}", response=WholeDayOut, operation_id="get_day")
def get_day(
    request: HttpRequest, text: str, filters: Annotated[AccountFilter, StrictQuery(...)]
) -> HttpResponse:
    """Return a day with its items; a day that was never looked at is at version 0 and empty. (S0.28)"""
    account, when = _account(request, filters.account), _date(text)
    day = account.days.filter(date=when).first() or Day(account=account, date=when)
    rows = day.items.filter(deleted_at=None).order_by("started_at", "key") if day.pk else []
    items = [{**_item(one), "date": when} for one in rows]
    return answer({**_day(account, day), "data_items": items})


@router.post("/days/{str:text}/sync", response={200: SyncOut, 201: SyncOut}, operation_id="sync_day")
def sync_day(
    request: HttpRequest, text: str, filters: Annotated[AccountFilter, StrictQuery(...)]
) -> HttpResponse:
    """Read a day now."""
    when = _date(text)
    account = _account(request, filters.account)
    return _sync(request, {"account": account.pk, "mode": "day", "date": when.isoformat()})


def _sync(request: HttpRequest, params: dict[str, Any]) -> HttpResponse:
    def do() -> tuple[int, dict[str, Any]]:
        created = lifecycle.create(accounts.KIND, params, owner=request.user)
        job: Job = created.job
        return 201 if created.created else 200, {"job": str(job.pk), "created": created.created}

    return idempotency.once(request, do)


def _account(request: HttpRequest, pk: int | None) -> Account:
    found = accounts.find(request.user, pk) if pk is None or pk <= LARGEST_ID else None
    if found is None:
        raise Problem("not_found")
    return found


def _date(text: str) -> date:
    found = parse_date(text)
    if found is None:
        raise Problem("not_found")
    return found


def _problem(error: NotPossible) -> Problem:
    return invalid(error.field or "account", str(error))


def _told(account: Account) -> dict[str, Any]:
    names = ("service", "label", "zone", "status", "reason", "synced_from", "version", "stream")
    return {
        "id": account.pk,
        "sample": account.is_sample,
        **{name: getattr(account, name) for name in names},
    }


def _day(account: Account, day: Day) -> dict[str, Any]:
    return {
        "account": account.pk,
        "source": account.service,
        "date": day.date,
        "status": day.ingestion_status,
        "items": day.items_count,
        "version": day.version,
        "completed_at": day.completed_at,
        "changed_after_completion": day.changed_after,
        "synced_at": day.walked_at,
        "error": day.trouble,
        "stream": day.stream,
    }


def _item(item: DataItem) -> dict[str, Any]:
    names = ("title", "markdown", "contents", "started_at", "ended_at", "starred", "updated_at")
    return {
        "id": item.key,
        "date": item.day.date,
        "ingestion_status": item.ingestion_status,
        **{name: getattr(item, name) for name in names},
    }
