from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class IngestionConfig(AppConfig):
    name = "ingestion"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the job streams and the tokens, and load every installed app's `source.py`."""
        # The registries fill when apps are ready.
        from ingestion import abouts, departures, in_hand, streams, tokens

        streams.register()
        abouts.register()
        tokens.register()
        departures.listen()
        in_hand.register()
        autodiscover_modules("source")
