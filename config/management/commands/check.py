"""`check`: everything a change must pass before it is reviewed. With arguments: Django's own check."""

import os
import secrets
import subprocess
import sys

from django.conf import settings
from django.core.management.base import BaseCommand
from django.core.management.commands.check import Command as DjangoCheck

OURS = ("account", "config", "ingestion", "notifications", "realtime", "tests", "manage.py")
ROOMS = OURS[:5]
# Tests that read the code and run nothing.
READING = ("tests/test_architecture.py", "tests/test_composed_sql.py", "tests/test_guards.py")


class Command(BaseCommand):
    """Run all checks and name those that failed."""

    help = "Run formatter, linter, types, security and set-up checks; with arguments, Django's own check."

    def run_from_argv(self, argv: list[str]) -> None:
        """Tell our check from Django's by its arguments."""
        if argv[2:]:
            DjangoCheck().run_from_argv(argv)
            return
        failed = [name for name, command, env in _checks() if not _passes(name, command, env)]
        print("failed: " + ", ".join(failed) if failed else "all checks passed", flush=True)
        sys.exit(1 if failed else 0)


def _checks() -> list[tuple[str, list[str], dict[str, str]]]:
    python = sys.executable
    production = {
        "HEADWAY_PROFILE": "production",
        "HEADWAY_SECRET_KEY": secrets.token_urlsafe(60),
        "HEADWAY_SITE_URL": "https://headway.example.org",
        "HEADWAY_ALLOWED_HOSTS": "headway.example.org",
        "DATABASE_URL": "postgres://headway@database.example.org/headway",
        "REDIS_URL": "rediss://:secret@redis.example.org/0",
    }
    manage = [python, "manage.py"]
    return [
        ("format", [python, "-m", "ruff", "format", "--check", *OURS], {}),
        ("lint", [python, "-m", "ruff", "check", *OURS], {}),
        ("types", [python, "-m", "mypy", *ROOMS, "manage.py"], {}),
        ("security", [python, "-m", "bandit", "-q", "-c", "pyproject.toml", "-r", *ROOMS], {}),
        ("migrations", [*manage, "makemigrations", "--check", "--dry-run"], {}),
        ("deploy", [*manage, "check", "--deploy", "--fail-level", "WARNING"], production),
        ("architecture", [python, "-m", "pytest", "-q", "--noconftest", *READING], {}),
    ]


def _passes(name: str, command: list[str], env: dict[str, str]) -> bool:
    print(f"--- {name}", flush=True)
    inherited = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(command, cwd=settings.BASE_DIR, env={**inherited, **env}, check=False)
    return done.returncode == 0
