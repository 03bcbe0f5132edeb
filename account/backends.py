"""Who is signed in, read with how pages look for them: each page asks for both."""

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User


class AccountBackend(ModelBackend):
    """Django's own, with one query for the user and their choices."""

    def get_user(self, user_id: int) -> User | None:
        """Return the user of a session, None for one who may not sign in."""
        user = User.objects.select_related("appearance").filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
