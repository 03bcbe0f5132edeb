"""Whether this process's code and the database belong together: a migration may come while we run."""

import structlog
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

log = structlog.get_logger(__name__)

Name = tuple[str, str]  # app, migration

_known: frozenset[Name] | None = None
_outgrown = False


def missing() -> int:
    """Return how many migrations of this code are not applied."""
    global _known
    executor = MigrationExecutor(connection)
    disk = executor.loader.disk_migrations or {}
    _known = frozenset(disk) | {replaced for one in disk.values() for replaced in one.replaces}
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def unknown() -> int:
    """Return how many migrations are applied that this code does not have. Needs `missing` before."""
    if _known is None:
        return 0
    apps = {app for app, _ in _known}
    applied = MigrationRecorder.Migration.objects.filter(app__in=apps).values_list("app", "name")
    return len(set(applied) - _known)


def look() -> None:
    """Notice that the database was migrated by newer code; nothing makes a process young again."""
    global _outgrown
    if not _outgrown and unknown():
        _outgrown = True
        log.error("schema_newer", text="The database is newer than this process. It takes no more jobs.")


def outgrown() -> bool:
    """Say whether `look` has seen a database that is newer than this code."""
    return _outgrown
