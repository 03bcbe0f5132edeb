from django.apps import AppConfig


class ProbeConfig(AppConfig):
    name = "ingestion.sources.probe"
    label = "probe"

    def ready(self) -> None:
        """Make the source known."""
        from ingestion.sources.probe import source  # noqa: F401 - importing registers it
