from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "tests.demo"
    label = "demo"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the shelves' streams known, and switch off the protections that a negative control names."""
        from tests.demo import sabotage, streams

        streams.register()
        sabotage.apply()
