from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    name = "realtime"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hear of ended sign-ins and changed permissions."""
        from realtime import revocation  # needs the models, which are there when apps are ready

        revocation.listen()
