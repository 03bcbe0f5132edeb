"""Times without script: in the site's zone, with the zone said, and exact for programs."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from ingestion import figures
from ingestion.models import Job
from ingestion.templatetags.headway import ago, at_clock
from tests.pages import rows

NOW = datetime(2026, 11, 22, 3, 44, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (NOW, "0 s ago"),
        (NOW - timedelta(seconds=59), "59 s ago"),
        (NOW - timedelta(minutes=3), "3 min ago"),
        (NOW - timedelta(hours=5), "5 h ago"),  # of the day before, and still hours
        (NOW - timedelta(hours=24), "Yesterday"),
        (datetime(2026, 11, 21, 0, 0, tzinfo=UTC), "Yesterday"),
        (datetime(2026, 11, 20, 23, 59, tzinfo=UTC), "20 Nov"),
        (datetime(2025, 11, 20, tzinfo=UTC), "20 Nov 2025"),
        (NOW + timedelta(minutes=5), "in 5 min"),
    ],
)
def test_an_age_is_told_more_coarsely_the_older_it_is(at, text):
    """UX 3.3."""
    assert figures.ago(at, NOW) == text


def test_a_time_is_marked_up_in_the_zone_of_the_site():
    at = datetime(2025, 3, 1, 23, 30, 5, 999999, tzinfo=UTC)
    with timezone.override(ZoneInfo("Asia/Kathmandu")):
        assert at_clock(at) == (
            '<time datetime="2025-03-01T23:30:05Z" title="2 March 2025, 05:15:05 UTC+05:45"'
            ' data-says="clock">2 Mar 05:15</time>'
        )
        assert ago(at).endswith(' data-says="ago">2 Mar 2025</time>')


@pytest.mark.django_db
def test_a_page_names_the_zone_of_its_times(client: Client, alice):
    job = rows.job(alice, "completed")
    Job.objects.filter(pk=job.pk).update(created_at=datetime(2025, 3, 1, 22, 30, tzinfo=UTC))
    client.force_login(alice)
    html = client.get(job.get_absolute_url()).content.decode()
    assert "Times in <span data-zone>UTC</span>" in html
    assert 'title="1 March 2025, 22:30:00 UTC"' in html and ">1 Mar 22:30</time>" in html
    with timezone.override(ZoneInfo("Europe/Oslo")):
        html = client.get(job.get_absolute_url()).content.decode()
    assert "Times in <span data-zone>Europe/Oslo</span>" in html and ">1 Mar 23:30</time>" in html
