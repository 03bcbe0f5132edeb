"""`follow USER`: what a user hears about beside their own jobs; with NAME, one more."""

from django.contrib.auth.models import User

from ingestion.management.wanting import WantingCommand
from notifications import inbox
from notifications.models import Follow
from realtime import streams


class Command(WantingCommand):
    """`follow USER [NAME] [--off] [--json]`."""

    help = "List what a user follows, or let them follow something that they may see."
    model, plural = Follow, "follows"

    def begin(self, user: User, about: str) -> bool:
        """Follow it."""
        if about not in streams.visible(user, [about]):
            raise ValueError(f"{user} may see no {about}.")
        return inbox.follow(user, about)

    def end(self, user_id: int, about: str) -> None:
        """Follow it no more."""
        inbox.unfollow(user_id, about)
