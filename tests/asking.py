"""Asking hosts outside without a job."""

import time
from collections.abc import Callable


class Job:
    """What asking outside needs of a Run: a message, a log, a checkpoint, a sleep that is cut short."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.lines: list[str] = []
        self.naps: list[float] = []
        self.after_naps: Callable[[], object] = lambda: None

    @property
    def message(self) -> str:
        return self.messages[-1] if self.messages else ""

    @message.setter
    def message(self, text: str) -> None:
        if text != self.message:
            self.messages.append(text)

    def log(self, message: str, level: str = "", **data: object) -> None:
        self.lines.append(message)

    def checkpoint(self) -> None:
        return

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.after_naps()
        time.sleep(min(seconds, 0.05))
