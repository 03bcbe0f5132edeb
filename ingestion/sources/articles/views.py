"""The pages of topics: the list, one with its articles, its settings and members, and an article to read."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from config.spreadsheets import listed
from ingestion import lifecycle, sharing
from ingestion.admission import Refused
from ingestion.sources.articles import members, topic_page
from ingestion.sources.articles import topics as acting
from ingestion.sources.articles.forms import TopicForm, UrlsForm
from ingestion.sources.articles.models import Analysis, Role, Topic
from ingestion.sources.articles.source import MOST_URLS, BulkAnalysis

# Of the files for a spreadsheet.
TOPIC_COLUMNS = {
    "Topic": "name",
    "Description": "description",
    "Threshold": "threshold",
    "Made (UTC)": "created_at",
    "Collected (UTC)": "collected_at",
}
ARTICLE_COLUMNS = {
    "Title": "article__title",
    "Address": "article__url",
    "Site": "article__site",
    "Author": "article__author",
    "Language": "article__language",
    "Published (UTC)": "article__published_at",
    "Relevance": "relevance",
    "Sentiment": "sentiment",
    "Summary": "summary",
    "Judged by": "model",
    "Analysed (UTC)": "analysed_at",
    "Kept (UTC)": "kept_at",
}
MOST = 200  # topics of one page
LARGEST_ID = 2**63 - 1


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def topics(request: HttpRequest) -> HttpResponseBase:
    """Show the user's topics, or make one."""
    form = TopicForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = form.save(request.user)
        if made is not None:
            return redirect(made)
    ids = Topic.objects.of(request.user).values("pk")
    counted = {
        "n_kept": Count("analyses", filter=Q(analyses__kept_at__isnull=False)),
        "n_analysed": Count("analyses"),
    }
    rows = Topic.objects.filter(pk__in=ids).annotate(**counted).order_by("-pk")
    given = request.GET.get("before", "")
    before = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0
    page = list((rows.filter(pk__lt=before) if before else rows)[: MOST + 1])
    context = {
        "topics": page[:MOST],
        "following": page[MOST - 1].pk if len(page) > MOST else None,
        "first": not before,
        "form": form,
    }
    return render(request, "articles/topics.html", context, status=400 if form.errors else 200)


@login_required
@require_safe
def topic(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show one topic: its articles as they come, and the jobs about it."""
    found = topic_of(request, pk)
    context = topic_page.context(found, request.user, request.GET)
    fragment = request.headers.get("HX-Target") == "topic"
    return render(request, "articles/_topic.html" if fragment else "articles/topic.html", context)


@login_required
@require_safe
def topics_csv(request: HttpRequest) -> HttpResponseBase:
    """Give the topics of who asks as a file for a spreadsheet."""
    ids = Topic.objects.of(request.user).values("pk")
    return listed(Topic.objects.filter(pk__in=ids), TOPIC_COLUMNS, "topics")


@login_required
@require_safe
def articles_csv(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Give the articles of a topic, kept or below the threshold, as a file for a spreadsheet."""
    found = topic_of(request, pk)
    below = request.GET.get("s") in topic_page.FILTERS
    return listed(found.analyses.filter(kept_at__isnull=below), ARTICLE_COLUMNS, f"articles-{found.pk}")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show or change what a topic is, and who its members are."""
    found = topic_of(request, pk, owns=True)
    form = TopicForm.of(found, request.POST or None)
    if request.method == "POST" and form.is_valid() and form.save(request.user, found) is not None:
        messages.success(request, "Saved.")
        return redirect(found)
    people = found.memberships.select_related("user").order_by("pk")
    context = {"topic": found, "form": form, "people": people, "roles": Role.choices}
    return render(request, "articles/settings.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def member(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a member, change a role, or take a member out; the last owner stays."""
    found = topic_of(request, pk, owns=True)
    sharing.from_page(request, found, acting.set_role)
    return redirect("articles:settings", found.pk)


@login_required
@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a topic, once its name was typed."""
    found = topic_of(request, pk, owns=True)
    if request.POST.get("name", "").strip() != found.name:
        messages.error(request, "Type the topic's name to remove it.")
        return redirect("articles:settings", found.pk)
    acting.remove(found)
    messages.success(request, f"{found.name} was removed.")
    return redirect("articles:topics")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def analyse(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Take addresses, typed, of a file or of a feed, and start the job that reads and judges them."""
    found = topic_of(request, pk, edits=True)
    form = UrlsForm(found, *((request.POST, request.FILES) if request.method == "POST" else ()))
    if request.method == "POST" and form.is_valid():
        try:
            kind = form.cleaned_data["kind"] or BulkAnalysis.kind
            return redirect(lifecycle.create(kind, form.params(found), owner=request.user).job)
        except Refused as refused:
            field = "feed" if any(one["field"] == "feed" for one in refused.errors) else "urls"
            form.add_error(field, " ".join(one["message"] for one in refused.errors) or refused.message)
    context = {"topic": found, "form": form, "most": MOST_URLS}
    return render(request, "articles/analyse.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def sample(request: HttpRequest) -> HttpResponse:
    """Start an analysis of the pages that come with us."""
    try:
        return redirect(lifecycle.create(BulkAnalysis.kind, {}, owner=request.user).job)
    except Refused as refused:
        messages.error(request, refused.message)
        return redirect("articles:topics")


@login_required
@require_safe
def article(request: HttpRequest, pk: int, article: int) -> HttpResponseBase:
    """Show an article as a topic judged it."""
    found = topic_of(request, pk)
    rows = Analysis.objects.select_related("article", "topic")
    analysis = rows.filter(topic=found, article=article).first() if article <= LARGEST_ID else None
    if analysis is None:
        raise Http404
    return render(request, "articles/article.html", topic_page.article(analysis))


def topic_of(request: HttpRequest, pk: int, *, owns: bool = False, edits: bool = False) -> Topic:
    """Return a topic of the user; what they cannot see, or may not act on, is not there."""
    user: Any = request.user
    found = Topic.objects.of(user).filter(pk=pk).first() if pk <= LARGEST_ID else None
    if found is None:
        raise Http404
    role = members.role_of(user, found.pk)
    if (owns and role != Role.OWNER) or (edits and not members.may_edit(role)):
        raise Http404
    return found
