"""What the sources of articles share: a job is about a topic, and the topic's page follows it."""

from typing import Any

from django.db import transaction

from ingestion.models import Job
from ingestion.source import Source
from ingestion.sources.articles.topics import touch


class OfTopic(Source):
    """A source whose jobs are about the topic that its parameters name."""

    def topic_for(self, job: Job, p: Any) -> int | None:
        """Return the number of the topic a new job is about, or None."""
        number: int | None = p.topic
        return number

    def can_retry(self, job: Job) -> None:
        """Refuse it to who may not start it any more. Raises SourceError."""
        self.can_start(job.owner, self.stored_params(job.params))

    def created(self, job: Job, p: Any) -> None:
        """Say what it is about."""
        if (topic := self.topic_for(job, p)) is not None:
            job.object = f"topic:{topic}"
            job.save(update_fields=["object"])
            touch(topic)

    def ended(self, job: Job) -> None:
        """Have open pages of the topic draw the end.

        After the commit: an item locks the topic before its job's row, which is held here.
        """
        pk = (job.object or "").partition(":")[2]
        if pk.isdigit():
            transaction.on_commit(lambda: touch(int(pk)), robust=True)
