"""Throw-away PostgreSQL and Valkey for a run of the tests, when the environment names none."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from config import children, embedded, places


class Services:
    """The services this run started; empty when the environment named all of them."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.postgres: subprocess.Popen[bytes] | None = None
        self.valkey: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start what DATABASE_URL and REDIS_URL do not name, and name it there."""
        if "DATABASE_URL" in os.environ and "REDIS_URL" in os.environ:
            return
        # /tmp itself: pytest's own folders may be too long for a socket, or closed to nobody.
        self.folder = Path(tempfile.mkdtemp(prefix="headway-test-", dir="/tmp"))
        self.folder.chmod(0o711)
        place = places.layout(self.folder / "data")
        places.prepare(place)
        with (self.folder / "services.log").open("wb") as log:
            if "DATABASE_URL" not in os.environ:
                self.postgres = embedded.start_postgres(place, output=log, durable=False)
            if "REDIS_URL" not in os.environ:
                self.valkey = embedded.start_valkey(place, output=log, durable=False)
        if self.postgres:
            embedded.wait_for_postgres(place, self.postgres)
            os.environ["DATABASE_URL"] = place.database_url
        if self.valkey:
            embedded.wait_for_valkey(place, self.valkey)
            os.environ["REDIS_URL"] = place.redis_url

    def stop(self) -> None:
        """End what `start` started, each by its own process id."""
        if self.postgres:
            children.stop(self.postgres, signal.SIGINT, embedded.POSTGRES_STOP_SECONDS)
        if self.valkey:
            children.stop(self.valkey, signal.SIGTERM, embedded.VALKEY_STOP_SECONDS)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
