#!/usr/bin/env python
"""Run a Headway command: `./run X` is this file in the project's environment."""

import os
import sys

ROLES = {"serve": "web", "worker": "worker", "keeper": "keeper"}  # of these processes, as settings know them


def main() -> int:
    """Run the command; what a person can repair is one line, not a traceback."""
    arguments = sys.argv[1:]
    for place, argument in enumerate(arguments):  # every command finds its instance by --data
        if argument == "--data" and place + 1 < len(arguments):
            os.environ["HEADWAY_DATA"] = arguments[place + 1]
            del arguments[place : place + 2]
            break
        if argument.startswith("--data="):
            os.environ["HEADWAY_DATA"] = argument.removeprefix("--data=")
            del arguments[place]
            break
    if arguments and arguments[0] in ROLES:
        os.environ.setdefault("HEADWAY_ROLE", ROLES[arguments[0]])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError, InterfaceError, OperationalError

    from config.env import SettingsError
    from config.reach import not_allowed, unreachable, unstorable

    try:
        settings.INSTALLED_APPS  # noqa: B018 - reads the settings
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        execute_from_command_line([sys.argv[0], *arguments])
    except (DatabaseError, InterfaceError, UnicodeEncodeError) as error:
        if isinstance(error, OperationalError | InterfaceError):
            text = unreachable(error)
        else:
            text = not_allowed(error) or unstorable(error, arguments)
        if text is None:
            raise
        print(text, file=sys.stderr)
        return 1
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
