from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the `user:<pk>` stream."""
        from notifications import streams  # the registry fills when apps are ready

        streams.register()
