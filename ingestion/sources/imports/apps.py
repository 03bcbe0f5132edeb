from django.apps import AppConfig


class ImportsConfig(AppConfig):
    name = "ingestion.sources.imports"
    label = "imports"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """List active imports in the details of the system's status; let reviewers watch an import."""
        from ingestion import details
        from ingestion.sources.imports import status, streams  # models are there when apps are ready

        streams.register()
        details.contribute("import_jobs", "imports", status.rows)
