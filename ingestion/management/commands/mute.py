"""`mute USER`: what a user hears nothing of, whoever else would tell them; with NAME, one more."""

from django.contrib.auth.models import User

from ingestion.management.wanting import WantingCommand
from notifications import inbox
from notifications.models import Mute


class Command(WantingCommand):
    """`mute USER [NAME] [--off] [--json]`."""

    help = "List what a user hears nothing of, or let them hear nothing of it."
    model, plural = Mute, "mutes"

    def begin(self, user: User, about: str) -> bool:
        """Mute it."""
        return inbox.mute(user, about)

    def end(self, user_id: int, about: str) -> None:
        """Let them hear of it again."""
        inbox.unmute(user_id, about)
