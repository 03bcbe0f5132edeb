"""The bundled sample is ours, the same every time, and loads whole."""

import io

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from ingestion.models import Job
from ingestion.sources.imports.models import Import, Unit
from ingestion.sources.imports.sample import generate
from ingestion.testing import resume_inline


def test_the_file_is_what_the_script_writes() -> None:
    out = io.StringIO(newline="")
    generate.write(out)
    assert out.getvalue().encode() == generate.FILE.read_bytes()
    assert generate.FILE.stat().st_size < 700_000


@pytest.mark.django_db(transaction=True)
def test_the_sample_is_loaded_without_a_question(alice: User) -> None:
    call_command("sample", stdout=io.StringIO())
    job = resume_inline(Job.objects.get())
    assert (job.state, job.owner, job.message) == (
        "completed",
        alice,
        "5,000 rows loaded: 5,000 new, 0 updated",
    )
    assert job.items_done >= 40  # so that its progress is seen moving
    assert Unit.objects.count() == Import.objects.get().created == 5000


@pytest.mark.django_db
def test_without_a_user_the_command_says_so() -> None:
    with pytest.raises(CommandError, match="There is no user yet"):
        call_command("sample")
