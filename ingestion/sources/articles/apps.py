from django.apps import AppConfig


class ArticlesConfig(AppConfig):
    name = "ingestion.sources.articles"
    label = "articles"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the stream of a topic known, and who its members are; forget what is old."""
        from ingestion import retention

        # Models are there when apps are ready. `checking`, `collecting` and `saving` are sources.
        from ingestion.sources.articles import (  # noqa: F401
            belongings,
            checking,
            collecting,
            forgetting,
            members,
            saving,
            streams,
            top_search,
        )

        belongings.register()
        members.register()
        streams.register()
        top_search.register()
        retention.contribute("robots", forgetting.forget_robots)
        retention.contribute("service_calls", forgetting.forget_calls)
