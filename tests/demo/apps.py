from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "tests.demo"
    label = "demo"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Switch off the protections that a negative control names."""
        from tests.demo import sabotage

        sabotage.apply()
