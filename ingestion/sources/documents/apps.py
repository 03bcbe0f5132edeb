from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    name = "ingestion.sources.documents"
    label = "documents"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the stream of a workspace known, and who its members are; forget what failed jobs left."""
        # Models are there when apps are ready. `refresh` is a source beside those of source.py.
        from ingestion import retention
        from ingestion.sources.documents import (  # noqa: F401
            belongings,
            keeping,
            members,
            refresh,
            streams,
            top_search,
        )

        retention.contribute("passages", keeping.forget)
        belongings.register()
        members.register()
        streams.register()
        top_search.register()
