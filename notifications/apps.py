from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class NotificationsConfig(AppConfig):
    name = "notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the streams and the channels, and load every installed app's `types.py`."""
        from notifications import outbox, streams, telling  # the registries fill when apps are ready

        streams.register()
        telling.listen(outbox.carry)
        autodiscover_modules("types")
