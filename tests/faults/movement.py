"""Jobs that move while a test breaks something."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from ingestion.models import Job
from notifications import inbox
from tests.realtime.rows import move

EVENTS = ["", "", "log", "item_failed", "warning", "retry"]


@contextmanager
def moving(*jobs: Job, pause: float = 0.05, quietly: bool = False) -> Iterator[None]:
    """Let jobs move all the time. quietly: without events, which are told at once."""
    over = threading.Event()

    def move_on() -> None:
        number = 0
        while not over.wait(pause):
            number += 1
            for job in jobs:
                event = "" if quietly else random.choice(EVENTS)
                move(job, event=event, message=f"No. {number}", progress=random.random(), items_done=number)
                if event:
                    inbox.touch([job.owner_id])
        connection.close()

    thread = threading.Thread(target=move_on, name="mover")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)
