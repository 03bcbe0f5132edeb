"""What failed, on the page of a topic: by cause, over all of its jobs."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion import bulk
from ingestion.models import Job
from ingestion.sources.articles import members
from ingestion.sources.articles.models import Role, Topic
from ingestion.sources.articles.source import BulkAnalysis
from ingestion.testing import resume_inline, run_inline
from tests.articles.web import Site, article
from tests.sessions import holding

pytestmark = pytest.mark.django_db(transaction=True)


def test_failures_of_all_jobs_are_grouped_by_cause_with_one_retry_a_group(
    web: Client, alice: User, bob: User, topic: Topic, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BulkAnalysis, "item_waits", (0.0,))
    busy = [site.put(f"/busy{n}", "", status=503) for n in range(3)]
    gone = site.put("/gone", "", status=410)
    one, two = (
        run_inline("bulk_analysis", alice, topic=topic.pk, urls=urls)
        for urls in ([*busy[:2], "http://10.0.0.1/x"], [busy[2], "ftp://x.example/"])
    )
    before = web.get(topic.get_absolute_url())
    told = [(cause["error_code"], cause["items"], cause["retryable"]) for cause in before.context["causes"]]
    assert told == [("url_status", 3, True), ("url_private", 1, False), ("url_scheme", 1, False)]
    page = before.content.decode()
    assert [f'data-cause="{code}"' in page for code, *_ in told] == [True] * 3
    assert page.count(f'action="/topics/{topic.pk}/retry/"') == 1
    assert f"{two.get_absolute_url()}?items=failed&amp;code=url_status" in page

    other = Client()
    other.force_login(bob)
    members.add(topic, bob, Role.VIEWER)
    seen = other.get(topic.get_absolute_url()).content.decode()
    assert 'data-cause="url_status"' in seen and "/retry/" not in seen
    assert other.post(f"/topics/{topic.pk}/retry/", {"error_code": "url_status"}).status_code == 404

    for n in range(3):
        site.put(f"/busy{n}", article(f"Ferry {n}", f"Ferry {n} crosses the river.", "It is a new ferry."))
    with holding(one):
        said = web.post(f"/topics/{topic.pk}/retry/", {"error_code": "url_status"}, follow=True)
    assert [str(line) for line in said.context["messages"]] == [bulk.HELD]
    assert Job.objects.get(retry_of__isnull=False).retry_of_id == two.pk  # the other one
    web.post(f"/topics/{topic.pk}/retry/", {"error_code": "url_status"})
    web.post(f"/topics/{topic.pk}/retry/", {"error_code": "url_status"})  # twice is once
    again = Job.objects.exclude(retry_of=None).order_by("retry_of")
    assert [job.retry_of_id for job in again] == [one.pk, two.pk]
    asked = len(site.asked)
    assert [resume_inline(job).items_done for job in again] == [2, 1]
    assert len(site.asked) == asked + 3
    left = web.get(topic.get_absolute_url()).context["causes"]
    assert [cause["error_code"] for cause in left] == ["url_private", "url_scheme"]
    assert gone not in site.asked
