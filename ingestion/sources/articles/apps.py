from django.apps import AppConfig


class ArticlesConfig(AppConfig):
    name = "ingestion.sources.articles"
    label = "articles"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the stream of a topic known, and who its members are."""
        # Models are there when apps are ready. The first three are sources beside source.py
        from ingestion.sources.articles import checking, collecting, members, saving, streams  # noqa: F401

        members.register()
        streams.register()
