from django.apps import AppConfig


class ImportsConfig(AppConfig):
    name = "ingestion.sources.imports"
    label = "imports"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """List active imports in the details of the status, let reviewers watch one, forget old rows."""
        from ingestion import details, retention
        from ingestion.sources.imports import (  # models are there when apps are ready
            belongings,
            keeping,
            status,
            streams,
            top_search,
        )

        belongings.register()
        streams.register()
        top_search.register()
        details.contribute("import_jobs", "imports", status.rows)
        retention.contribute("import_rows", keeping.forget)
