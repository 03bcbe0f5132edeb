"""Save articles in bulk: keep the pages of a list with a topic, whatever they are judged. (S2.17)"""

from typing import Any, ClassVar

from django.db.models.functions import Coalesce

from ingestion.clock import ClockTimestamp
from ingestion.run import Run
from ingestion.source import SourceError, Step, register
from ingestion.sources.articles import addresses, analysis, keeping
from ingestion.sources.articles.fetching import Fetcher
from ingestion.sources.articles.models import Analysis, Topic
from ingestion.sources.articles.service import Judge
from ingestion.sources.articles.source import BulkAnalysis, Params, Read

EVERYTHING = 0.0  # the threshold that no relevance is below


@register
class BulkSave(BulkAnalysis):
    """Pages that a person chose are kept with a topic; those that were judged already are not fetched."""

    kind, label, params = "bulk_save", "Bulk save", Params
    description = "Keep pages with a topic, however relevant they are."
    steps: ClassVar[list[Step]] = [Step("articles", "Read and keep articles", 1)]

    def look(self, fetcher: Fetcher, judge: Judge, topic: Topic, wanted: analysis.Wanted, url: str) -> Any:
        """Return the number of the topic's judgement of a page, else the page, read and judged now."""
        known = keeping.known(addresses.canonical(url))
        rows = Analysis.objects.filter(topic=topic, article=known) if known else Analysis.objects.none()
        judged = rows.values_list("pk", flat=True).first()
        return judged if judged is not None else super().look(fetcher, judge, topic, wanted, url)

    def keep(self, job: Run, topic: Topic, found: Any) -> keeping.Kept:
        """Keep it with the topic from now on, or as long as it is kept already."""
        if isinstance(found, Read):
            return keeping.judged(topic.pk, keeping.save(found.page), found.told, EVERYTHING, job.id)
        rows = Analysis.objects.filter(pk=found)
        if not rows.update(kept_at=Coalesce("kept_at", ClockTimestamp()), job=job.id):
            raise SourceError("not_found", "It was removed meanwhile.", retryable=True)
        return keeping.Kept(rows.select_related("article").get(), new=False, kept=True)

    def told(self, done: int, total: int, saved: int) -> str:
        """Return what came of it in words."""
        return f"{saved:,} of {total:,} articles kept"
