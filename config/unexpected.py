"""How many requests of this process ended in an error that nobody expected (500)."""

import threading

_lock = threading.Lock()
_count = 0


def note() -> None:
    """Count one more."""
    global _count
    with _lock:
        _count += 1


def count() -> int:
    """Return how many there were since the process started."""
    return _count
