"""Jobs that report progress at full rate: `progress UPDATES-A-SECOND JOB ...`, until it is ended."""

import sys
import time
from itertools import cycle

import django


def main(rate: float, ids: list[str]) -> None:
    """Write the time into each job's message, in its own transaction, as a reporter does."""
    django.setup()
    from django.db.models import F

    from ingestion.models import Job
    from realtime.publish import publish

    at = time.monotonic()
    for pk in cycle(ids):
        job = Job.objects.filter(pk=pk)
        job.update(version=F("version") + 1, message=f"{time.time():.6f}")
        publish(f"job:{pk}", job.values_list("version", flat=True).get())
        at += 1 / (rate * len(ids))
        time.sleep(max(0.0, at - time.monotonic()))


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
