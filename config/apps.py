"""The project as an app: commands, checks and sign-in."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """Registers the project's own checks."""

    name = "config"
    label = "headway"
    verbose_name = "Headway"

    def ready(self) -> None:
        """Register the checks, and hear who signs in."""
        from config import checks, security_log  # noqa: F401 - importing registers the checks

        security_log.listen()
