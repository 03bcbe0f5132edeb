"""What a job is called where people read of it."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion import abouts
from ingestion.models import Job

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("title", "subject", "name", "detail"),
    [
        ("Day sync", "Wed 18 Nov", "Day sync Wed 18 Nov", "Wed 18 Nov"),
        ("Ingest MSFT", "MSFT", "Ingest MSFT", ""),
        ("Collect changes", "", "Collect changes", ""),
    ],
)
def test_a_job_names_its_subject_once(title: str, subject: str, name: str, detail: str) -> None:
    job = Job(title=title, subject=subject)
    assert (job.name, job.detail) == (name, detail)


def test_pages_name_a_subject_once(client: Client, django_user_model: type[User]) -> None:
    user = django_user_model.objects.create_user("alice")
    client.force_login(user)
    job = Job.objects.create(
        owner=user, source="ping", queue="default", title="Ingest MSFT", subject="MSFT", params={}
    )
    for page in ("/jobs/", job.get_absolute_url(), "/"):
        assert "Ingest MSFT MSFT" not in " ".join(client.get(page).content.decode().split())
        assert ">MSFT<" not in client.get(page).content.decode()
    assert abouts._jobs(user, [str(job.pk)])[str(job.pk)][0] == "Ingest MSFT"
