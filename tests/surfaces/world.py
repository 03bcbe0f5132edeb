"""One of everything that an address or a body can name, and counts of all rows."""

from typing import Any
from uuid import uuid4

from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection

from ingestion.models import Job, Schedule
from ingestion.sources.articles.models import Article, Topic
from ingestion.sources.companies.models import Company
from ingestion.sources.documents.models import Document, Workspace
from ingestion.sources.imports.models import Import
from ingestion.sources.lifelogs.models import Account
from notifications.models import Notification
from tests.pages.things import make_one_of_each

# Rows that every request may write: who was here when, and what was asked.
NOT_COUNTED = {"django_session", "headway_lastseen"}


def make(alice: User, bob: User, settings: Any) -> dict[str, str]:
    """Make one of everything for alice; return it by the names that addresses have for it."""
    make_one_of_each(alice, bob, settings)
    settings.RATE_WRITES_PER_MINUTE = settings.RATE_STARTS_PER_MINUTE = 10**6
    topic = Topic.objects.get(name="ours")
    failed = Job.objects.filter(owner=alice, state="partial").first()
    entry = Notification.objects.filter(recipient=alice).first()
    assert failed and entry
    return {
        "job_id": str(failed.pk),
        "task_id": str(failed.pk),
        "upload_id": str(uuid4()),
        "schedule_id": str(Schedule.objects.get(name="Nightly").pk),
        "topic_id": str(topic.pk),
        "article": str(Article.objects.filter(analyses__topic=topic).earliest("pk").pk),
        "username": "bob",
        "company_id": str(Company.objects.earliest("pk").pk),
        "accession": "0000320193-25-000079",
        "ordinal": "1",
        "workspace_id": str(Workspace.objects.get(name="ours").pk),
        "document_id": str(Document.objects.filter(workspace__name="ours").earliest("pk").pk),
        "import_id": str(Import.objects.filter(owner=alice).earliest("pk").pk),
        "pk": str(Account.objects.filter(owner=alice).earliest("pk").pk),
        "text": "2026-01-05",
        "entry_id": str(entry.pk),
        "dimension": "region",
    }


def counts() -> dict[str, int]:
    """Return the number of rows of each table of ours, in one statement."""
    models = [model for model in apps.get_models() if model._meta.managed]
    tables = sorted({model._meta.db_table for model in models} - NOT_COUNTED)
    each = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM \"{table}\"" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(each)
        return dict(cursor.fetchall())
