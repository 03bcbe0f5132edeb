"""What every process of ours does beside its work: signs of life, getting ready to fork, and its sessions."""

import gc
import os
import socket
import threading
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.models.functions import Now
from django.urls import reverse

from ingestion import lifecycle, schema
from ingestion.models import Process
from ingestion.sightings import Lookout
from ingestion.source import Outcome

log = structlog.get_logger(__name__)

BEAT_SECONDS = 5.0


class Beat(threading.Thread):
    """Writes this process's `Process` row every 5 s. A keeper's also tells who answers."""

    def __init__(self, name: str, role: str, queue: str = "") -> None:
        super().__init__(name="beat", daemon=True)
        self.row = {"role": role, "queue": queue, "host": socket.gethostname()[:100], "pid": os.getpid()}
        self.process = name
        self._halt = threading.Event()
        self._lookout = Lookout(role) if role == "keeper" else None

    def once(self) -> None:
        """Write the row now, and look at who answers when that is due."""
        lookout = self._lookout if self._lookout is not None and self._lookout.is_due() else None
        try:
            self._write()
        except (OperationalError, InterfaceError):
            if lookout is not None:
                lookout.miss()
            raise
        if lookout is not None:
            lookout.look()

    def _write(self) -> None:
        """Write the row; a worker whose database is newer than its code counts no longer."""
        if self.row["role"] == "worker":
            schema.look()
            if schema.outgrown():
                Process.objects.filter(name=self.process).delete()
                return
        Process.objects.update_or_create(
            name=self.process, defaults={"beat_at": Now()}, create_defaults={**self.row, "beat_at": Now()}
        )

    def run(self) -> None:
        """Beat until the process ends."""
        while not self._halt.wait(BEAT_SECONDS):
            try:
                self.once()
            except (DatabaseError, InterfaceError):
                connection.close()
        connection.close()

    def stop(self) -> None:
        """Stop beating and take the row away: the process ended in order."""
        self._halt.set()
        if self.is_alive():
            self.join(2)
        try:
            Process.objects.filter(name=self.process).delete()
        except (DatabaseError, InterfaceError):
            log.info("process_row_left", name=self.process)


def end_sessions(token: UUID) -> int:
    """End the sessions of an attempt whose lease was taken: its locks would hang the next one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = %s AND datname = current_database() AND pid <> pg_backend_pid()",
            [f"hw:{token}"],
        )
        return int(cursor.fetchone()[0])


def settle() -> None:
    """Do once in a worker what each of its work-horses would do again.

    Verbs about nobody's job change nothing, but compile and look up what the first real one would have to;
    frozen objects are left alone by the collectors of the horses, so that their memory stays shared.
    """
    nobody = UUID(int=0)
    lifecycle.claim("", worker="", token=nobody)
    lifecycle.start(nobody, worker="", token=nobody)
    lifecycle.finish(nobody, nobody, Outcome())
    reverse("ingestion:job", args=[nobody])  # loads the pages that results lead to
    gc.collect()
    gc.freeze()
