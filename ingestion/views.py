"""The pages: fetch with the access check, validate, call one verb, respond."""

import zlib
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial, wraps
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from config.problems import PROBLEMS, Problem
from ingestion import (
    home_page,
    job_items,
    job_page,
    lifecycle,
    lists,
    serializers,
    source,
    uploads,
    waits,
)
from ingestion.access import can_act, visible_jobs
from ingestion.admission import Refused
from ingestion.bulk import in_a_request
from ingestion.forms import AnswerForm, StartForm, source_form
from ingestion.models import Job, State
from ingestion.tagged import part
from ingestion.visible_job import visible
from notifications import inbox

# What the bulk bar can do to a job.
VERBS: dict[str, Callable[[Job, Any], Any]] = {"cancel": lifecycle.cancel, "retry": lifecycle.retry}


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponseBase:
    """Show what can be started, what runs, what ended and what waits for the user."""
    kind = source.find(request.GET.get("kind", ""))
    target = _target(request)
    if target == "start":
        return render(request, "ingestion/_start.html", home_page.start(kind))
    context = home_page.overview(request.user)
    if target == "home":
        return render(request, "ingestion/_overview.html", context)
    start = home_page.start(kind or home_page.habit(context))
    return render(request, "ingestion/home.html", {**context, **start})


@login_required
@require_safe
def jobs(request: HttpRequest) -> HttpResponseBase:
    """List jobs; all of the list's state is in its URL."""
    filters = lists.Filters.from_query(request.GET)
    if _target(request) == "new-jobs":
        news = lists.news(request.user, filters, request.GET.get("since", ""))
        return part(request, "ingestion/_list_news.html", {**news, "fragment": True})
    return render(request, "ingestion/jobs.html", lists.context(request.user, filters))


@login_required
@require_safe
def job(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Show one job, the part of it that a live page asks for, or its row in the list."""
    found = visible(request.user, pk)
    target = _target(request)
    now = timezone.now()
    # What is not in the row's version but shows all the same is in the tag too.
    shown = serializers.display(found, now)
    why = None if target.startswith("row-") else waits.why(found, request.user)
    said = zlib.crc32(why.text.encode()) if why else 0
    tag = f'"{home_page.epoch()}:{found.version}:{shown}:{can_act(request.user, found):d}:{said}"'
    if target and request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    if target.startswith("row-"):
        response = render(
            request, "ingestion/_job_row.html", {"row": {"job": found, "acts": can_act(request.user, found)}}
        )
    else:
        template = "ingestion/_job.html" if target == "job" else "ingestion/job.html"
        context = job_page.context(found, request.user, request.GET, why, tag.strip('"'))
        response = render(request, template, context)
    response["ETag"] = tag
    return response


@login_required
@require_POST
def start(request: HttpRequest, kind: str) -> HttpResponseBase:
    """Start a job from the form of its source; a refusal shows the form again with what was typed."""
    chosen = source.find(kind)
    if chosen is None:
        raise Http404
    form = source_form(chosen, request.POST, request.FILES)
    valid = form.is_valid()
    try:
        files = _stored(request, form)  # with a mistake too: nobody sends a file twice
        if not valid:
            return _form_again(request, form, HTTPStatus.UNPROCESSABLE_ENTITY)
        created = lifecycle.create(kind, {**form.params(), **files}, owner=request.user)
    except Refused as refused:
        form.add_problems(refused.errors or [{"field": "", "message": refused.message}])
        status = HTTPStatus.UNPROCESSABLE_ENTITY if refused.errors else _status(refused.code)
        return _form_again(request, form, status)
    except Problem as problem:
        form.add_problems(problem.errors or [{"field": "", "message": problem.detail}])
        return _form_again(request, form, problem.status)
    if not created.created:
        uploads.delete_untaken(uploads.visible(request.user).filter(pk__in=files.values()))
        messages.info(request, "This is running already. You follow it now.")
    return redirect(created.job)


def acting(
    may: Callable[[Any, Job], bool] = can_act,
) -> Callable[[Callable[[HttpRequest, Any], HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Make a view of a function that does one thing to a job.

    The function is given a job that its user may see and act on; what it refuses is answered here.

    Args:
        may: says whether a user may do this to a job that they see.
    """

    def view_of(act: Callable[[HttpRequest, Any], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @login_required
        @require_POST
        @wraps(act)
        def view(request: HttpRequest, pk: UUID) -> HttpResponseBase:
            found = visible(request.user, pk)
            if not may(request.user, found):
                return _not_yours(request, found)
            try:
                return act(request, found)
            except Refused as refused:
                return _refused(request, refused, found)

        return view

    return view_of


@acting()
def cancel(request: HttpRequest, found: Any) -> HttpResponseBase:
    """Ask for a job's end."""
    lifecycle.cancel(found, request.user)
    return _back(request, found)


@acting()
def retry(request: HttpRequest, found: Any) -> HttpResponseBase:
    """Make a job that does what this one left undone: all of it, some items, or those with one error."""
    keys = request.POST.getlist("key")[: job_items.MAX_CHIPS] or None
    created = lifecycle.retry(found, request.user, keys=keys, error_code=request.POST.get("error_code"))
    return redirect(created.job)


@acting(lambda user, job: bool(job.owner_id == user.pk))
def again(request: HttpRequest, found: Any) -> HttpResponseBase:
    """Start the same once more, from nothing."""
    created = lifecycle.create(found.source, found.params, owner=request.user)
    return redirect(created.job)


@acting()
def answer(request: HttpRequest, found: Any) -> HttpResponseBase:
    """Say yes, no with a reason, or give the file that a job waits for."""
    form = AnswerForm(request.POST, request.FILES)
    if not form.is_valid() and found.state == State.WAITING:
        context = {**job_page.context(found, request.user, request.GET), "answer_form": form}
        return render(request, "ingestion/job.html", context, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        data = {"reason": form.cleaned_data.get("reason", "")}
        with ExitStack() as stack:
            if file := form.cleaned_data.get("file"):
                kept = uploads.store(request.user, file.name, file, source=source.find(found.source))
                data["file"] = str(stack.enter_context(uploads.given_to_a_job(kept)).pk)
            lifecycle.answer(found, form.cleaned_data.get("answer", ""), data, request.user)
    except Problem as problem:
        form.add_error("file", problem.detail)
        context = {**job_page.context(found, request.user, request.GET), "answer_form": form}
        return render(request, "ingestion/job.html", context, status=problem.status)
    return redirect(found)


@login_required
@require_safe
def review(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Go to where the job wants its answer given: a page of its source, or its own."""
    found = visible(request.user, pk)
    return redirect(job_page.review_url(found) or found)


@login_required
@require_POST
def follow(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Hear about a job, or no more."""
    found = visible(request.user, pk)
    if request.POST.get("follow") == "1":
        _if_room(request, inbox.follow, found)
    else:
        inbox.unfollow(cast(int, request.user.pk), found.stream)
    # A follower who leaves somebody else's job cannot see it any more.
    return redirect(found if visible_jobs(request.user).filter(pk=pk).exists() else "ingestion:jobs")


@login_required
@require_POST
def mute(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Hear nothing of a job, or of it again."""
    found = visible(request.user, pk)
    if request.POST.get("mute") == "1":
        _if_room(request, inbox.mute, found)
    else:
        inbox.unmute(cast(int, request.user.pk), found.stream)
    return redirect(found)


def _if_room(request: HttpRequest, verb: Callable[[Any, str], bool], found: Job) -> None:
    try:
        verb(request.user, found.stream)
    except Problem as problem:
        messages.error(request, problem.detail)


@login_required
@require_POST
def bulk(request: HttpRequest) -> HttpResponseBase:
    """Cancel or retry the jobs that are ticked, and say how many; all that match are asked for on a page."""
    filters = lists.Filters.from_query(request.POST)
    verb = request.POST.get("verb", "")
    if verb not in VERBS:
        return render(request, "errors/400.html", status=HTTPStatus.BAD_REQUEST)
    query = filters.query()
    if request.POST.get("all") == "1":
        return redirect(f"{reverse('ingestion:bulk_all')}{'?' if query else ''}{query}")
    done = in_a_request()
    chosen = lists.chosen(request.user, request.POST)
    if chosen and not any(can_act(request.user, one) for one in chosen):
        return _not_yours(request, chosen[0])
    for one in chosen:
        done.if_theirs(request.user, one, partial(VERBS[verb], one, request.user))
    text = f"{done.count:,} of {len(chosen):,} {'cancelled' if verb == 'cancel' else 'retried'}."
    (messages.success if done.count == len(chosen) else messages.warning)(request, text)
    for reason in done.reasons():
        messages.warning(request, reason)
    return redirect(f"{request.path.removesuffix('bulk/')}{'?' if query else ''}{query}")


# ---- what the views share ---------------------------------------------------------------------------------


def _target(request: HttpRequest) -> str:
    """Return the id of the element that htmx will replace, or an empty text for a whole page."""
    return request.headers.get("HX-Target", "") if request.headers.get("HX-Request") == "true" else ""


def _stored(request: HttpRequest, form: StartForm) -> dict[str, str]:
    """Store the files of a form and return their ids by field; those of an earlier try count too."""
    ids = {name: str(pk) for name, pk in form.kept().items()}
    for name, file in form.files_given().items():
        upload = uploads.store(request.user, file.name or "", file, source=form.source)
        form.keep(name, upload)
        ids[name] = str(upload.pk)
    return ids


def _form_again(request: HttpRequest, form: StartForm, status: int) -> HttpResponse:
    context = {**home_page.overview(request.user), **home_page.start(form.source, form)}
    return render(request, "ingestion/home.html", context, status=status)


def _refused(request: HttpRequest, refused: Refused, job: Any) -> HttpResponse:
    status = _status(refused.code)
    template = f"errors/{status if status in (400, 403, 404, 409, 413, 429, 503) else 400}.html"
    context = {"message": refused.message, "job": job, "retry_after": refused.retry_after}
    response = render(request, template, context, status=status)
    if refused.retry_after:
        response["Retry-After"] = str(refused.retry_after)
    return response


def _status(code: str) -> int:
    return PROBLEMS[code][0] if code in PROBLEMS else HTTPStatus.UNPROCESSABLE_ENTITY


def _not_yours(request: HttpRequest, job: Any) -> HttpResponse:
    owner = job.owner.get_username() if job.owner else "the system"
    context = {"heading": "This job is not yours to change", "message": f"It belongs to {owner}. Ask them."}
    return render(request, "errors/403.html", context, status=HTTPStatus.FORBIDDEN)


def _back(request: HttpRequest, job: Any) -> HttpResponse:
    """Return to the page the button was on: home, the list, or the job."""
    place = {"home": "ingestion:home", "jobs": "ingestion:jobs"}.get(request.POST.get("back", ""))
    if place is None and not visible_jobs(request.user).filter(pk=job.pk).exists():
        place = "ingestion:jobs"  # an owner who leaves a job to those who joined it may lose sight of it
    return redirect(place or job)
