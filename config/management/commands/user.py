"""Make users and sign-in links."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import IntegrityError, transaction

from config import audit, links
from config.plain import PlainCommand


class Command(PlainCommand):
    """`user create NAME --password P [--email A] [--staff|--superuser]`, `user link NAME`."""

    help = "Make a user, or a link with which a user signs in once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the verb and the name."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a user")
        create.add_argument("name")
        create.add_argument("--password", help="without one the user signs in with a link only")
        create.add_argument("--email", default="", help="where mail about what they follow goes")
        rights = create.add_mutually_exclusive_group()
        rights.add_argument("--staff", action="store_true", help="may open the admin")
        rights.add_argument("--superuser", action="store_true", help="may do everything")
        link = verbs.add_parser("link", help="print a link that signs a user in once")
        link.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and say so."""
        if options["verb"] == "create":
            self.stdout.write(self._create(**options))
        else:
            self.stdout.write(self._link(options["name"]))

    def _create(
        self, name: str, password: str | None, email: str, staff: bool, superuser: bool, **_: Any
    ) -> str:
        user = User(
            username=User.normalize_username(name),
            email=email,
            is_staff=staff or superuser,
            is_superuser=superuser,
        )
        user.set_password(password)
        try:
            user.clean_fields()
            with transaction.atomic():
                user.save(force_insert=True)
                audit.write("user.create", f"user:{user.pk}", staff=user.is_staff, superuser=superuser)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except IntegrityError as error:
            raise CommandError(f"There is a user {name} already.") from error
        return f"Created {name}."

    def _link(self, name: str) -> str:
        user = User.objects.filter(username=name, is_active=True).first()
        if user is None:
            raise CommandError(f"No user {name}.")
        audit.write("user.link", f"user:{user.pk}")
        running = settings.DATA_DIR / "address"
        if settings.EMBEDDED_POSTGRES and running.exists():
            return links.make(user, running.read_text())
        return links.make(user, settings.SITE_URL)
