"""Whether this process's code and the database belong together: a migration may come while we run.

Told by the names of files: importing every migration, as Django's own question does, is a part of a second
that each process of `up` would spend at its start.
"""

import pkgutil
from collections.abc import Iterable
from importlib import import_module

import structlog
from django.apps import apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

log = structlog.get_logger(__name__)

Name = tuple[str, str]  # app, migration

_known: frozenset[Name] | None = None
_outgrown = False


def missing() -> int:
    """Return how many migrations of this code are not applied."""
    global _known
    _known = frozenset(_on_disk())
    if MigrationRecorder(connection).has_table() and _known <= _applied(_known):
        return 0
    # It knows what a squashed one replaces. The plan of `migrate` ends where the last one is applied.
    loader = MigrationLoader(connection)
    return len(set(loader.graph.nodes) - set(loader.applied_migrations))


def unknown() -> int:
    """Return how many migrations are applied that this code does not have. Needs `missing` before."""
    if _known is None or not (strange := _applied(_known) - _known):
        return 0
    disk = MigrationLoader(None, ignore_no_migrations=True).disk_migrations or {}
    return len(strange - {replaced for one in disk.values() for replaced in one.replaces})


def strange(names: Iterable[Name]) -> list[Name]:
    """Return those of some migrations that this code does not have: of newer code, or of other apps."""
    disk = MigrationLoader(None, ignore_no_migrations=True).disk_migrations or {}
    known = {*disk, *(replaced for one in disk.values() for replaced in one.replaces)}
    return sorted({name for name in names if tuple(name) not in known})


def look() -> None:
    """Notice that the database was migrated by newer code; nothing makes a process young again."""
    global _outgrown
    if not _outgrown and unknown():
        _outgrown = True
        log.error("schema_newer", text="The database is newer than this process. It takes no more jobs.")


def outgrown() -> bool:
    """Say whether `look` has seen a database that is newer than this code."""
    return _outgrown


def _on_disk() -> set[Name]:
    names = set()
    for app in apps.get_app_configs():
        package, _ = MigrationLoader.migrations_module(app.label)
        if package is None:
            continue
        try:
            module = import_module(package)
        except ModuleNotFoundError:  # an app without tables
            continue
        for found in pkgutil.iter_modules(module.__path__):
            if not found.ispkg and found.name[0] not in "_~":  # as Django's loader chooses
                names.add((app.label, found.name))
    return names


def _applied(known: frozenset[Name]) -> set[Name]:
    rows = MigrationRecorder.Migration.objects.filter(app__in={app for app, _ in known})
    return set(rows.values_list("app", "name"))
