"""What every benchmark says, and how."""

import json
import statistics
import sys
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    value, unit: ours. ratio: ours divided by what it is measured against, named by `against`.
    target: what PERFORMANCE asks for, in words.
    """

    name: str
    value: float
    unit: str
    ratio: float | None
    against: str
    target: str

    def say(self) -> None:
        """Print the figure as one JSON line."""
        sys.stdout.write(json.dumps(asdict(self)) + "\n")
        sys.stdout.flush()


def p50(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def p99(values: list[float]) -> float:
    """Return the value that one in a hundred exceeds."""
    return sorted(values)[int(len(values) * 0.99)]
