from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    name = "ingestion.sources.imports.analytics"
    label = "analytics"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the stream of the charts known."""
        from ingestion.sources.imports.analytics import streams  # models are there when apps are ready

        streams.register()
