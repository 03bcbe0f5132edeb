from django.apps import AppConfig


class CompaniesConfig(AppConfig):
    name = "ingestion.sources.companies"
    label = "companies"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the streams known, and what a company is called."""
        from ingestion.sources.companies import (  # models are there when apps are ready
            streams,
            subscribers,
            top_search,
        )

        streams.register()
        top_search.register()
        subscribers.register()
