from django.apps import AppConfig


class ArticlesConfig(AppConfig):
    name = "ingestion.sources.articles"
    label = "articles"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the stream of a topic known, and who its members are."""
        from ingestion.sources.articles import members, streams  # models are there when apps are ready

        members.register()
        streams.register()
