"""Bulk save: what a person chose is kept with a topic, whatever it is judged, and fetched once."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion.models import Job, State
from ingestion.sources.articles.models import Analysis, Article, Topic
from ingestion.sources.articles.sample import pages, standin
from ingestion.sources.articles.saving import BulkSave
from ingestion.sources.articles.source import Read
from ingestion.testing import resume_inline, run_inline

pytestmark = pytest.mark.django_db(transaction=True)
FARMING = f"{standin.ADDRESS}/harvest-festival"  # nothing about ferries


@pytest.mark.seed("S2.17", "S2.32", "S2.72")
def test_pages_are_kept_whatever_they_are_judged(web: Client, topic: Topic):
    body = {"topic": topic.name, "urls": [FARMING, standin.URLS[0], f"{standin.ADDRESS}/nothing"]}
    sent = web.post("/api/background-tasks/bulk-save", body, content_type="application/json")
    assert (sent.status_code, sent.json()["task"]["name"]) == (201, "Bulk Save: River ferries")
    job = resume_inline(Job.objects.get(pk=sent.json()["task_id"]))
    assert (job.state, job.message) == (State.PARTIAL, "2 of 3 articles kept")
    assert job.result == {"topic": topic.pk, "processed": 3, "analysed": 2, "saved": 2, "errors": 1}
    row = Analysis.objects.get(article__url=FARMING)
    assert row.relevance < topic.threshold and row.kept_at is not None and row.summary
    task = web.get(f"/api/background-tasks/task/{job.pk}").json()["task"]
    assert (task["status"], task["processed_items"], task["total_items"]) == ("COMPLETED", 3, 3)


def test_what_was_judged_already_is_not_fetched_again(web: Client, alice: User, topic: Topic, monkeypatch):
    run_inline("bulk_analysis", alice, topic=topic.pk, urls=standin.URLS)
    Article.objects.update(fetched_at="2020-01-01T00:00:00Z")
    below = Analysis.objects.get(article__url=FARMING)
    kept = dict(Analysis.objects.exclude(kept_at=None).values_list("pk", "kept_at"))
    assert below.kept_at is None
    monkeypatch.setattr(pages, "PAGES", {})  # nothing could be fetched
    page = web.get(f"{topic.get_absolute_url()}?s=below").content.decode()
    assert f'value="{FARMING}"' in page
    web.post(f"/topics/{topic.pk}/keep/", {"url": FARMING})
    job = resume_inline(Job.objects.get(source="bulk_save"))
    assert (job.state, job.items.get().result["new"]) == (State.COMPLETED, False)
    again = run_inline("bulk_save", alice, topic=topic.pk, urls=standin.URLS)
    assert again.state == State.COMPLETED
    assert Analysis.objects.filter(kept_at=None).count() == 0
    now = dict(Analysis.objects.values_list("pk", "kept_at"))
    assert {pk: now[pk] for pk in kept} == kept


def test_a_judgement_that_goes_meanwhile_is_made_anew(alice: User, topic: Topic, monkeypatch):
    run_inline("bulk_analysis", alice, topic=topic.pk, urls=[FARMING])
    look, found = BulkSave.look, []

    def then_gone(*args: Any) -> Any:
        found.append(look(*args))
        Analysis.objects.all().delete()
        return found[-1]

    monkeypatch.setattr(BulkSave, "look", then_gone)
    monkeypatch.setattr(BulkSave, "item_waits", (0.0,))
    job = run_inline("bulk_save", alice, topic=topic.pk, urls=[FARMING])
    assert job.state == State.COMPLETED and [type(one) for one in found] == [int, Read]
    assert Analysis.objects.get().kept_at is not None


def test_viewers_and_strangers_keep_nothing(alice: User, bob: User, topic: Topic):
    other = Client()
    other.force_login(bob)
    assert other.post(f"/topics/{topic.pk}/keep/", {"url": FARMING}).status_code == 404
    body = {"topic": topic.pk, "urls": [FARMING]}
    refused = other.post("/api/background-tasks/bulk-save", body, content_type="application/json")
    assert refused.status_code == 400 and not Job.objects.exists()
