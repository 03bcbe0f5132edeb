from django.apps import AppConfig


class LifelogsConfig(AppConfig):
    name = "ingestion.sources.lifelogs"
    label = "lifelogs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the services, the streams of days and what their owners are told known."""
        from ingestion import access
        from ingestion.sources.lifelogs import (  # noqa: F401  # models are there now
            belongings,
            limitless,
            streams,
            top_search,
            types,
        )

        belongings.register()
        streams.register()
        top_search.register()
        for kind in ("day", "days"):
            access.keep_private(kind)
