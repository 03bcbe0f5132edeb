"""Judgements of a service: as it may answer, and as often as it may be asked in a day."""

import traceback
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client

from ingestion import lifecycle
from ingestion.models import Job, Pause, State
from ingestion.run import Run
from ingestion.source import SourceError, get
from ingestion.sources.articles import analysis, service, topic_page
from ingestion.sources.articles.collecting import AutoCollect
from ingestion.sources.articles.models import Analysis, Entry, Feed, ServiceCalls, Topic
from ingestion.sources.articles.reading import Page
from ingestion.sources.articles.sample import standin
from ingestion.sources.articles.service import Judge
from ingestion.sources.articles.source import BulkAnalysis
from ingestion.testing import resume_inline, run_inline
from tests.articles.analysis_service import JUDGED, AnalysisService, told
from tests.articles.web import Site

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = Page("https://news.example.com/a", "The ferry is sold", "Nobody wanted the ferry. It was sold.")


@pytest.fixture
def asked(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnalysisService]:
    """The service, chosen by the operator; what fails is tried again at once."""
    one = AnalysisService()
    settings.OPENAI_URL, settings.OPENAI_KEY, settings.OPENAI_ANALYSIS = one.url, "a-secret", "judge-1"
    monkeypatch.setattr(BulkAnalysis, "item_waits", (0.0, 0.0))
    monkeypatch.setattr(AutoCollect, "item_waits", (0.0, 0.0))
    yield one
    one.stop()


@pytest.fixture
def judge(alice: User, topic: Topic, asked: AnalysisService) -> Judge:
    """What judges for a running job."""
    job = lifecycle.create("bulk_analysis", {}, owner=alice).job
    token = uuid4()
    started = lifecycle.start(job.pk, worker="inline", token=token)
    assert started is not None
    return Judge(Run(started, get("bulk_analysis"), token))


def judged(judge: Judge, topic: Topic, page: Page = PAGE) -> analysis.Judgement:
    return judge.judge(page, analysis.wanted(topic))


def refused(judge: Judge, topic: Topic) -> SourceError:
    with pytest.raises(SourceError) as found:
        judged(judge, topic)
    assert "a-secret" not in "".join(traceback.format_exception(found.value))
    return found.value


def test_a_chosen_model_judges_and_is_named(
    web: Client, alice: User, topic: Topic, asked: AnalysisService
) -> None:
    url = standin.URLS[0]
    job = run_inline("bulk_analysis", alice, topic=topic.pk, urls=[url])
    assert job.state == State.COMPLETED
    row = Analysis.objects.get()
    assert (row.relevance, row.sentiment, row.summary) == (0.8, -0.25, "A ferry was sold.")
    assert list(row.article.terms.values_list("text", flat=True)) == ["ferry", "sale"]
    assert row.matches.get(keyword__folded="ferry").count == 6  # keywords are still found here
    assert (row.model, job.items.get().result["model"]) == ("openai:judge-1", "openai:judge-1")
    path, key, question = asked.asked[0]
    assert (path, key, question["model"]) == ("/v1/chat/completions", "Bearer a-secret", "judge-1")
    sent = question["messages"][1]["content"]
    assert "River ferries" in sent and "New electric ferry joins" in sent
    assert "openai:judge-1" in web.get(row.get_absolute_url()).content.decode()
    assert "openai:judge-1" in web.get(topic.get_absolute_url()).content.decode()
    assert ServiceCalls.objects.get().calls == len(asked.asked) == 1


def test_without_a_chosen_model_nobody_is_asked(
    alice: User, topic: Topic, asked: AnalysisService, settings: Any
) -> None:
    settings.OPENAI_ANALYSIS = ""
    run_inline("bulk_analysis", alice, topic=topic.pk, urls=[standin.URLS[0]])
    assert Analysis.objects.get().model == analysis.MODEL
    assert not asked.asked and not ServiceCalls.objects.exists()


def test_words_and_fences_around_a_judgement_do_no_harm(
    judge: Judge, topic: Topic, asked: AnalysisService
) -> None:
    asked.says(
        'Here it is:\n```json\n{"relevance": 1, "sentiment": null, "summary": "", "keywords": []}\n```'
    )
    found = judged(judge, topic)
    assert (found.relevance, found.sentiment, found.terms) == (1.0, None, [])
    assert found.summary == analysis.judge(PAGE, analysis.wanted(topic)).summary  # better than none


def test_a_summary_that_repeats_the_title_is_told_without_it(
    judge: Judge, topic: Topic, asked: AnalysisService
) -> None:
    asked.says({**JUDGED, "summary": "The Ferry is sold: nobody had asked for it."})
    assert judged(judge, topic).summary == "nobody had asked for it."


def test_what_a_model_says_is_cut_and_made_plain(judge: Judge, topic: Topic, asked: AnalysisService) -> None:
    words = [f"word\u202e{n}\0" + "x" * 200 for n in range(50)] + ["", "\x07"]
    asked.says({**JUDGED, "summary": "a\0b\ud800\n\n" + "c " * 1000, "keywords": words})
    found = judged(judge, topic)
    assert found.summary.startswith("a b c c") and len(found.summary) <= service.LONGEST_SUMMARY
    assert len(found.terms) == analysis.TERMS and all(len(one) <= 100 for one in found.terms)
    assert found.terms[0].startswith("word 0 x") and "".join(found.terms).isprintable()


def test_a_long_article_is_cut_and_that_is_said(judge: Judge, topic: Topic, asked: AnalysisService) -> None:
    found = judged(judge, topic, Page(PAGE.url, PAGE.title, "é" * 20_000, language="fr"))
    assert found.notes == ["Judged by its first 8,000 characters."]
    assert asked.asked[0][2]["messages"][1]["content"].count("é") == 8_000


@pytest.mark.parametrize(
    "said",
    [
        b"<html>", b"[" * 100_000, {}, {"choices": []}, {"choices": [{"message": {"content": None}}]},
        told("It is about ferries."), told("}{"), told("[1]"), told({}), told({**JUDGED, "relevance": 1.01}),
        told({**JUDGED, "relevance": -0.1}), told({**JUDGED, "relevance": "0.5"}),
        told({**JUDGED, "relevance": True}), told({**JUDGED, "relevance": float("nan")}),
        told({**JUDGED, "relevance": 10**400}), told({**JUDGED, "sentiment": -1.5}),
        told({**JUDGED, "sentiment": "good"}), told({**JUDGED, "summary": None}),
        told({**JUDGED, "summary": ["a"]}), told({**JUDGED, "keywords": "ferry"}),
        told({**JUDGED, "keywords": [1]}), told({**JUDGED, "keywords": None}),
    ],
    ids=[
        "page", "deep", "nothing", "no choice", "no content", "words", "backwards", "list", "empty",
        "above", "below", "text", "truth", "no number", "huge", "sentiment below", "sentiment in words",
        "no summary", "summaries", "one keyword", "numbers as keywords", "no keywords",
    ],
)  # fmt: skip
def test_an_answer_that_is_no_judgement_fails_in_words(
    said: Any, judge: Judge, topic: Topic, asked: AnalysisService
) -> None:
    asked.answer = lambda body: (200, {}, said)
    error = refused(judge, topic)
    assert (error.code, error.retryable) == ("analysis_answer", True)
    assert error.message == "The analysis service answered what is no judgement."


@pytest.mark.parametrize(("status", "again"), [(400, False), (401, False), (302, False), (500, True)])
def test_a_refusal_is_tried_again_where_that_may_help(
    status: int, again: bool, judge: Judge, topic: Topic, asked: AnalysisService
) -> None:
    asked.answer = lambda body: (status, {"Location": asked.url}, {"error": "a-secret is wrong"})
    error = refused(judge, topic)
    assert (error.code, error.retryable) == ("analysis_refused", again)
    assert error.message == f"The analysis service answered {status}." and len(asked.asked) == 1


def test_a_service_that_asks_for_a_pause_gets_it_of_all_workers(
    judge: Judge, topic: Topic, asked: AnalysisService
) -> None:
    asked.answer = lambda body: (429, {"Retry-After": "40"}, {})
    error = refused(judge, topic)
    assert (error.code, error.retryable, error.retry_after) == ("analysis_refused", True, 40.0)
    assert Pause.objects.get().reason == "The analysis service asked us to wait for 40 seconds"


def test_a_service_that_drips_is_left_after_a_time(
    judge: Judge, topic: Topic, asked: AnalysisService, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judge._service is not None
    judge._service._seconds, asked.drip = 0.3, 0.02
    error = refused(judge, topic)
    assert (error.code, error.retryable) == ("analysis_away", True)


def test_a_service_that_is_not_there_may_come_back(
    judge: Judge, topic: Topic, asked: AnalysisService
) -> None:
    asked.stop()
    error = refused(judge, topic)
    assert (error.code, error.retryable) == ("analysis_away", True)
    assert error.message == "The analysis service does not answer."


def test_an_answer_without_end_is_not_read_to_it(judge: Judge, topic: Topic, asked: AnalysisService) -> None:
    asked.answer = lambda body: (200, {}, b" " * (4 << 20))
    error = refused(judge, topic)
    assert (error.code, error.message) == (
        "analysis_answer",
        "The analysis service's answer is larger than 1 MB.",
    )


def test_what_fails_is_told_of_its_article_alone(alice: User, topic: Topic, asked: AnalysisService) -> None:
    good = asked.answer

    def some(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        return (500, {}, {}) if "electric ferry joins" in body["messages"][1]["content"] else good(body)

    asked.answer = some
    job = run_inline("bulk_analysis", alice, topic=topic.pk, urls=standin.URLS)
    assert (job.state, job.items_done, job.items_failed) == (State.PARTIAL, 4, 1)
    failed = job.items.get(state="failed")
    assert (failed.label.rpartition("/")[2], failed.error_code, failed.tries) == (
        "new-electric-ferry", "analysis_refused", 3,
    )  # fmt: skip
    asked.answer = good
    again = resume_inline(lifecycle.retry(job, alice, error_code="analysis_refused").job)
    assert (again.state, again.items_done) == (State.COMPLETED, 5)


def test_two_jobs_share_the_days_calls_and_go_on_tomorrow(
    alice: User, bob: User, topic: Topic, asked: AnalysisService, settings: Any, site: Site
) -> None:
    settings.OPENAI_CALLS_PER_DAY = 7
    first = run_inline("bulk_analysis", alice, topic=topic.pk, urls=standin.URLS)
    assert (first.state, ServiceCalls.objects.get().calls) == (State.COMPLETED, 5)
    second = run_inline("bulk_analysis", alice, topic=topic.pk, urls=standin.URLS)
    assert (second.state, second.items_done, second.items_failed) == (State.PARTIAL, 2, 3)
    assert len(asked.asked) == ServiceCalls.objects.get().calls == 7
    failed = second.items.filter(state="failed")
    (reason,) = set(failed.values_list("error_code", "error"))
    text = "Today's 7 questions to the analysis service are used up."
    assert reason == ("analysis_limit", f"{text} From midnight (UTC) on it can be asked again.")
    again = resume_inline(lifecycle.retry(second, alice).job)
    assert again.items_failed == 3 and len(asked.asked) == 7
    ServiceCalls.objects.update(day=F("day") - timedelta(days=1))  # it is the day after
    tomorrow = resume_inline(lifecycle.retry(again, alice).job)
    assert (tomorrow.state, tomorrow.items_done) == (State.COMPLETED, 5)
    assert sorted(ServiceCalls.objects.values_list("calls", flat=True)) == [3, 7]


def test_no_page_is_fetched_that_nobody_could_judge(
    alice: User, topic: Topic, asked: AnalysisService, settings: Any, site: Site
) -> None:
    settings.OPENAI_CALLS_PER_DAY = 1
    run_inline("bulk_analysis", alice, topic=topic.pk, urls=standin.URLS[:1])
    job = run_inline("bulk_analysis", alice, topic=topic.pk, urls=[site.put("/a", "<p>Ferries</p>")])
    assert (job.state, job.items.get().error_code) == (State.FAILED, "analysis_limit")
    assert site.asked == []


def test_an_entry_that_nobody_could_judge_today_is_new_tomorrow(
    web: Client, alice: User, topic: Topic, asked: AnalysisService, settings: Any
) -> None:
    Feed.objects.create(topic=topic, url=standin.FEED)
    settings.OPENAI_CALLS_PER_DAY = 1
    today = run_inline("auto_collect", alice, topic=topic.pk)
    failed = today.items.filter(error_code="analysis_limit").count()
    assert failed and Entry.objects.filter(outcome=Entry.Outcome.NEW).count() == failed
    assert topic_page.failed_jobs(topic) == [today]
    assert (
        web.get(topic.get_absolute_url()).context["causes"] == []
    )  # nothing of it is left to be tried again
    ServiceCalls.objects.all().delete()
    settings.OPENAI_CALLS_PER_DAY = 100
    tomorrow = run_inline("auto_collect", alice, topic=topic.pk)
    assert tomorrow.state == State.COMPLETED
    assert tomorrow.items.filter(step="articles", state="done").count() == failed
    assert not Entry.objects.filter(outcome=Entry.Outcome.NEW).exists()


def test_operators_see_which_model_judged_and_how_often_it_was_asked(
    admin_client: Client, alice: User, topic: Topic, asked: AnalysisService
) -> None:
    run_inline("bulk_analysis", alice, topic=topic.pk, urls=standin.URLS[:2])
    judgements = admin_client.get("/admin/articles/analysis/").content.decode()
    assert judgements.count("openai:judge-1") == 2
    day = ServiceCalls.objects.get()
    page = admin_client.get(f"/admin/articles/servicecalls/{day.pk}/change/").content.decode()
    assert '<div class="readonly">2</div>' in page
    assert admin_client.get("/admin/articles/topic/?q=River").content.decode().count("River ferries") == 1


def test_days_are_forgotten_after_a_year() -> None:
    from ingestion import retention

    ServiceCalls.objects.create(day="2020-01-01", calls=3)
    assert retention.prune()["service_calls"] == 1
    assert not ServiceCalls.objects.exists() and not Job.objects.exists()
