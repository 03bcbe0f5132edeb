"""What the case of a fault measured: its rounds, and how long what was promised took."""

import json
import os
from pathlib import Path
from typing import Any

RECORD = "HEADWAY_FAULT_RECORD"  # the file that `./run test --faults` reads


class Measured:
    """The figures of the case that runs now."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the case before."""
        self.rounds = 0
        self.worst: tuple[float, float] | None = None  # seconds that it took, seconds that were promised

    def took(self, seconds: float, promised: float) -> None:
        """Note how long something took; that which came nearest to its promise is kept."""
        if self.worst is None or seconds / promised > self.worst[0] / self.worst[1]:
            self.worst = (seconds, float(promised))

    def write(self, test: str, passed: bool) -> None:
        """Add the case to the record, where one is kept. One line of JSON, by whichever process ran it."""
        place = os.environ.get(RECORD)
        if place:
            line = {"test": test, "passed": passed, "rounds": max(1, self.rounds), "worst": self.worst}
            with Path(place).open("a") as record:
                record.write(json.dumps(line) + "\n")


measured = Measured()


class Promised(float):
    """A promised time, in seconds. What is compared with it is noted."""

    def __gt__(self, took: Any) -> bool:
        return self._note(took) and super().__gt__(took)

    def __ge__(self, took: Any) -> bool:
        return self._note(took) and super().__ge__(took)

    def _note(self, took: float) -> bool:
        measured.took(took, self)
        return True
