"""The sample: a workspace with five documents in five formats that we wrote, about a company we made up."""

from pathlib import Path
from typing import Any

from ingestion import lifecycle, uploads
from ingestion.models import Job
from ingestion.source import get
from ingestion.sources.documents.models import Document, DocumentStatus, Workspace

NAME = "Supplier risk (sample)"
DESCRIPTION = "What a toolmaker that does not exist knows of its suppliers."
FILES = Path(__file__).with_name("files")


def start(user: Any) -> tuple[Workspace, list[Job]]:
    """Make the sample workspace of a user and start its documents; a second time only what is missing.

    Return the workspace and the jobs that were started. Raises Problem, Refused.
    """
    workspace = Workspace.objects.of(user).filter(created_by=user, name=NAME).order_by("pk").first()
    jobs: list[Job] = []
    if workspace is None:
        values = {"name": NAME, "description": DESCRIPTION}
        jobs.append(lifecycle.create("workspaces", values, owner=user).job)
        workspace = Workspace.objects.get(job=jobs[0])
    there = Document.objects.filter(workspace=workspace).exclude(status=DocumentStatus.FAILED)
    names = set(there.values_list("name", flat=True))
    for path in sorted(FILES.iterdir()):
        if path.name in names:
            continue
        with path.open("rb") as file:
            kept = uploads.store(user, path.name, file, source=get("documents"))
        with uploads.given_to_a_job(kept):
            params = {"file": str(kept.pk), "workspace": workspace.pk}
            jobs.append(lifecycle.create("documents", params, owner=user).job)
    return workspace, jobs
