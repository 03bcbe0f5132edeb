"""What templates need to draw a state, a bar, a figure or a time. Looks come from headway.css."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html, json_script
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString

from ingestion import figures, pauses, source, words
from ingestion.access import can_view_all, visible_jobs
from ingestion.models import FINAL, OPEN, Job, JobItem, State
from ingestion.serializers import display, item_display
from notifications import days, listing

register = template.Library()


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """Draw an icon of the sprite; it says nothing to a screen reader."""
    return format_html(
        '<svg class="icon{}" aria-hidden="true"><use href="#i-{}"/></svg>', f" {css}" if css else "", name
    )


@register.simple_tag
def status_icon(status: str) -> SafeString:
    """Draw the icon of a status."""
    return icon(words.picture(status), "spin" if status in words.SPINNING else "")


@register.simple_tag
def status_badge(what: Job | str, css: str = "", label: str = "") -> SafeString:
    """Draw the badge of a job, or of a status given as a word."""
    job = what if isinstance(what, Job) else None
    status = str(what) if job is None else display(job, timezone.now())
    live = "" if job is None or job.state in FINAL else format_html(' data-field="{}"', "display")
    return format_html(
        '<span class="badge{}" data-status="{}"{}>{}{}</span>',
        f" {css}" if css else "",
        status,
        live,
        status_icon(status),
        label or words.word(status),
    )


@register.simple_tag
def status_words() -> SafeString:
    """Give the page's script the icon and the word of every status, to paint a badge before it fetches."""
    known = {name: [icon, word, name in words.SPINNING] for name, (icon, word) in words.STATUS.items()}
    return json_script(known, "status-words")


@register.simple_tag
def chip(item: JobItem, href: str = "") -> SafeString:
    """Draw an item: icon, label, state, and why it failed, in words too."""
    status, picture, said = words.CHIP.get(item.state, words.CHIP["pending"])
    why = f", {item.error}" if item.error else ""
    inner = format_html(
        '{}<span>{}</span><span class="sr">, {}{}</span>', icon(picture), item.label or item.key, said, why
    )
    if not href:
        return format_html(
            '<span class="chip" data-status="{}" data-key="{}">{}</span>', status, item.key, inner
        )
    return format_html(
        '<a class="chip" data-status="{}" data-key="{}" href="{}">{}</a>', status, item.key, href, inner
    )


@register.simple_tag
def bar(job: Job, noun: str = "items", css: str = "") -> SafeString:
    """Draw a job's progress. Without a total and without progress there is no percentage to draw."""
    live = SafeString(' data-field="bar"') if job.state not in FINAL else ""
    if not job.items_total and job.progress <= 0 and job.state == State.RUNNING:
        return format_html(
            '<div class="bar{}" role="progressbar" aria-label="{}" aria-valuetext="{}" data-indeterminate>'
            '<svg aria-hidden="true"><rect data-status="running" width="40%" height="100%"/></svg></div>',
            _css(css), job.name, job.message or "Working, no total yet",
        )  # fmt: skip
    done, failed = figures.bar(job)
    return format_html(
        '<div class="bar{}" role="progressbar" aria-label="{}" aria-valuemin="0" aria-valuemax="100" '
        'aria-valuenow="{}" aria-valuetext="{}"{}><svg aria-hidden="true">{}{}</svg></div>',
        _css(css), job.name, figures.percent(job), _spoken(job, noun), live,
        _rect("complete", "bar.done", 0.0, done, job),
        _rect("failed", "bar.failed", done, failed, job),
    )  # fmt: skip


def _spoken(job: Job, noun: str) -> str:
    if not job.items_total:
        return f"{figures.percent(job)}%"
    text = f"{finished_items(job):,} of {job.items_total:,} {noun}"
    return f"{text}, {job.items_failed:,} failed" if job.items_failed else text


def _rect(status: str, field: str, x: float, width: float, job: Job) -> SafeString:
    # An empty part is drawn too: a live page only sets x and width.
    live = format_html(' data-field="{}"', field) if job.state not in FINAL else ""
    return format_html(
        '<rect data-status="{}" x="{}%" width="{}%" height="100%"{}/>',
        status,
        f"{x:.2f}",
        f"{width:.2f}",
        live,
    )


def _css(name: str) -> str:
    return f" {name}" if name else ""


@register.filter
def in_words(state: str) -> str:
    """Write a state of a seed's own vocabulary for people: processing_data, Processing data."""
    return state.replace("_", " ").capitalize()


register.filter("scope", pauses.named)


@register.filter
def thousands(value: Any) -> str:
    """Write a whole number with separators."""
    return "" if value is None else f"{int(value):,}"


register.filter("percent", figures.percent)
register.filter("duration", figures.duration)
register.filter("clock", figures.clock)
register.filter("rate", figures.rate)


@register.filter
def ago(at: datetime | None) -> SafeString | str:
    """Write how long ago something was, with the exact time to read and to copy."""
    return "" if at is None else _time(at, "ago", figures.ago(timezone.localtime(at), timezone.localtime()))


@register.filter
def at_clock(at: datetime | None) -> SafeString | str:
    """Write a time of the day, with the date when it was not today."""
    if at is None:
        return ""
    at = timezone.localtime(at)
    return _time(
        at, "clock", f"{at:%H:%M:%S}" if at.date() == timezone.localdate() else f"{at.day} {at:%b %H:%M}"
    )


@register.filter
def at_day(at: datetime) -> SafeString:
    """Write a day in full."""
    at = timezone.localtime(at)
    return _time(at, "day", f"{at:%A} {at.day} {at:%B %Y}")


@register.filter
def at_row(at: datetime) -> SafeString:
    """Write the time beside a row of the inbox."""
    return _time(at, "row", days.row(timezone.localtime(at), timezone.localtime()))


@register.filter
def at_until(at: datetime) -> SafeString:
    """Write when something that was put off comes back."""
    return _time(at, "until", days.until(timezone.localtime(at), timezone.localtime()))


@register.filter
def at_since(at: datetime) -> SafeString:
    """Write since when something was put off."""
    return _time(at, "since", days.since(timezone.localtime(at), timezone.localtime()))


def _time(at: datetime, says: str, text: str) -> SafeString:
    """Mark a time up in the site's zone; times.js writes it in the reader's."""
    here = timezone.localtime(at)
    offset = f"{here:%z}"
    return format_html(
        '<time datetime="{}" title="{}" data-says="{}">{}</time>',
        f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        f"{here.day} {here:%B %Y, %H:%M:%S} UTC{f'{offset[:3]}:{offset[3:]}' if here.utcoffset() else ''}",
        says,
        text,
    )


@register.filter
def took(job: Job) -> str:
    """Write how long a job has run or ran, as a clock."""
    if job.started_at is None:
        return ""
    end = job.finished_at or timezone.now()
    return figures.clock(end - job.started_at)


@register.filter
def running_for(milliseconds: int) -> SafeString:
    """Write how long something has run by now, as a clock that goes on."""
    length = timedelta(milliseconds=milliseconds)
    since = (timezone.now() - length).isoformat()
    text = figures.clock(length)
    return format_html('<span class="muted num small" data-since="{}">{}</span>', since, text)


@register.filter
def eta(job: Job) -> str:
    """Write how long a job will take still, or nothing before there is a basis."""
    seconds = figures.left(job, timezone.now())
    return "" if seconds is None else f"about {figures.duration(seconds)} left"


@register.filter
def seconds_since(since: datetime | None) -> float | None:
    """Return the seconds since a moment."""
    return None if since is None else (timezone.now() - since).total_seconds()


@register.filter
def finished_items(job: Job) -> int:
    """Return how many items of a job have an outcome."""
    return job.items_done + job.items_skipped + job.items_failed


@register.filter
def open_items(job: Job) -> int:
    """Return how many items of a job wait for their outcome."""
    return max(0, job.items_total - finished_items(job))


@register.filter
def local(url: str) -> str:
    """Return a link that stays on this site, or nothing: other addresses are shown as text."""
    return url if url.startswith("/") and url_has_allowed_host_and_scheme(url, allowed_hosts=None) else ""


@register.filter
def short(pk: UUID) -> str:
    """Write the end of an id, the part in which the ids of one second differ."""
    return str(pk)[-8:]


@register.filter
def cause(code: str) -> str:
    """Write an error code or a field's name in words."""
    return code.replace("_", " ").capitalize() if code else "Not finished"


register.filter("item_display", item_display)


@register.filter
def person(user: Any) -> str:
    """Return how a user is called."""
    return "" if user is None else user.get_full_name() or user.get_username()


register.filter("views_all", can_view_all)


@register.filter
def initials(user: Any) -> str:
    """Return one or two letters for a user's picture."""
    parts = person(user).replace(".", " ").replace("_", " ").split()
    return "".join(part[0] for part in parts[:2]).upper()


@register.simple_tag(takes_context=True)
def current(context: template.Context, *names: str) -> SafeString | str:
    """Mark the menu entry of the page that is shown."""
    match = getattr(context.get("request"), "resolver_match", None)
    return SafeString(' aria-current="page"') if match is not None and match.view_name in names else ""


@register.simple_tag(takes_context=True)
def active_jobs(context: template.Context) -> int:
    """Count the open jobs of the user, for the menu."""
    request = context.get("request")
    if request is None or not request.user.is_authenticated:
        return 0
    return visible_jobs(request.user).filter(owner=request.user, state__in=OPEN).count()


@register.simple_tag(takes_context=True)
def inbox_version(context: template.Context) -> int:
    """Return where the user's stream stands, so that the page knows what it has painted."""
    return listing.version(context["request"].user)


@register.simple_tag
def source_pages() -> list[dict[str, Any]]:
    """Return the pages that sources offer for the menu: those that name one in `page`, each once."""
    pages: dict[str, dict[str, Any]] = {}
    for kind in source.registry().values():
        name = getattr(kind, "page", "")
        if not name:
            continue
        try:
            url = reverse(name)
        except NoReverseMatch:
            continue
        label, picture = getattr(kind, "page_label", "") or kind.label, getattr(kind, "page_icon", "table")
        pages.setdefault(url, {"url": url, "length": len(url), "label": label, "icon": picture})
    return list(pages.values())
