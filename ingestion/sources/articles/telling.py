"""What members of a topic are told of its feeds: what came, and what cannot be read. (S2.50, S2.51)"""

from collections.abc import Mapping, Sequence

from ingestion.run import Run
from ingestion.sources.articles.models import Feed, Role, Topic, TopicMember
from notifications import inbox

COMPLETE, ERROR = "auto_ingest_complete", "auto_ingest_error"


def tell_of_new(job: Run, topics: Mapping[int, Topic], new: Mapping[int, int]) -> None:
    """Tell who follows a topic how many articles came. Who hears of the job itself does not hear twice."""
    for pk, count in sorted(new.items()):
        topic = topics[pk]
        users = inbox.followers(topic.stream) - inbox.followers(f"job:{job.id}")
        users -= {job.owner.pk if job.owner else None}
        users &= set(TopicMember.objects.filter(topic=pk).values_list("user", flat=True))
        if users:
            inbox.notify(
                users,
                COMPLETE,
                f"{count:,} new article{'s' * (count != 1)} in {topic.name}",
                url=topic.get_absolute_url(),
                about=topic.stream,
                group_key=f"collected:{job.id}:{pk}",
                version=1,  # an attempt that comes here again changes nothing
            )


def tell_of_feeds(job: Run, feeds: Sequence[int]) -> None:
    """Tell owners of a topic that one of its feeds cannot be read any more, once."""
    for feed in Feed.objects.filter(pk__in=feeds).select_related("topic").order_by("pk"):
        owners = TopicMember.objects.filter(topic=feed.topic, role=Role.OWNER)
        inbox.notify(
            list(owners.order_by("user").values_list("user", flat=True)),
            ERROR,
            f"A feed of {feed.topic.name} cannot be read",
            text=f"{feed}: {feed.error}"[:2000],
            url=feed.topic.get_absolute_url(),
            about=feed.topic.stream,
            group_key=f"feed:{feed.pk}:{job.id}",
            version=1,
        )
