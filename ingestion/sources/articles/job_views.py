"""What a member starts from the page of a topic."""

from functools import partial
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from ingestion import bulk, job_items, lifecycle, schedules
from ingestion.admission import Refused
from ingestion.models import Job
from ingestion.sources.articles import plans, topic_page
from ingestion.sources.articles.checking import KeywordCheck
from ingestion.sources.articles.collecting import AutoCollect
from ingestion.sources.articles.models import Address, Topic
from ingestion.sources.articles.saving import BulkSave
from ingestion.sources.articles.views import topic_of
from notifications import inbox


@login_required
@require_POST
def check(request: HttpRequest, pk: int) -> HttpResponse:
    """Look for the topic's keywords in its articles."""
    return _started(request, topic_of(request, pk, edits=True), KeywordCheck.kind)


@login_required
@require_POST
def collect(request: HttpRequest, pk: int) -> HttpResponse:
    """Read the topic's feeds now."""
    return _started(request, topic_of(request, pk, edits=True), AutoCollect.kind)


@login_required
@require_POST
def keep(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep articles that were judged below the threshold."""
    found = topic_of(request, pk, edits=True)
    asked = [one.replace("\0", "") for one in request.POST.getlist("url")]
    known = set(Address.objects.filter(url__in=asked).values_list("url", flat=True))
    # What a page gives as its own address may be one where nobody was: then it is where it was read.
    rows = Address.objects.filter(article__url__in=asked, article__analyses__topic=found).order_by("pk")
    read_at = dict(rows.values_list("article__url", "url"))
    urls = [one if one in known else read_at.get(one, one) for one in asked]
    return _started(request, found, BulkSave.kind, urls=urls)


@login_required
@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Try again what failed by one cause, in all jobs of the topic that its page tells of."""
    found, user = topic_of(request, pk, edits=True), request.user
    code = request.POST.get("error_code", "")[:50].replace("\0", "")
    failed = Q(items__error_code=code, items__state__in=job_items.FAILED)
    jobs = Job.objects.filter(failed, pk__in=[job.pk for job in topic_page.failed_jobs(found)]).distinct()
    done, busy = bulk.in_a_request(), False

    def act(job: Job) -> None:
        nonlocal busy
        # One collection of a topic at a time: another's retry is answered with that.
        busy |= lifecycle.retry(job, user, error_code=code).job.retry_of_id != job.pk

    for job in jobs.order_by("pk"):
        done.one(partial(act, job))
    if busy:
        messages.error(request, "Another collection is under way. Try the rest again when it has ended.")
    for reason in done.reasons():
        messages.error(request, reason)
    return redirect(found)


@login_required
@require_POST
def follow(request: HttpRequest, pk: int) -> HttpResponse:
    """Hear of what comes to a topic, or no more."""
    found, user = topic_of(request, pk), request.user
    if request.POST.get("follow") == "1":
        inbox.follow(user, found.stream)
    else:
        inbox.unfollow(cast(int, user.pk), found.stream)
    return redirect(found)


@login_required
@require_POST
def every(request: HttpRequest, pk: int) -> HttpResponse:
    """Have the topic's feeds read by themselves, or no more."""
    with transaction.atomic():
        schedules.settle(f"topic:{pk}")
        found = topic_of(request, pk, edits=True)  # nobody removes it or a role in it meanwhile
        plans.put(found, request.user, request.POST.get("every", ""))
    messages.success(request, "Saved.")
    return redirect(found)


def _started(request: HttpRequest, topic: Topic, kind: str, **params: Any) -> HttpResponse:
    user: Any = request.user
    try:
        created = lifecycle.create(kind, {"topic": topic.pk, **params}, owner=user)
    except Refused as refused:
        messages.error(request, " ".join(one["message"] for one in refused.errors) or refused.message)
    else:
        if not created.created:
            messages.info(request, "This is running already. You follow it now.")
    return redirect(topic)
