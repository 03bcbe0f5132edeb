"""How often somebody may ask."""

from collections import Counter
from collections.abc import Hashable

from config.problems import Problem


class Rates:
    """Requests of this minute, by who sent them: in this process, because nothing here may wait for Redis."""

    def __init__(self) -> None:
        self._minute = 0
        self._counts: Counter[Hashable] = Counter()

    def check(self, who: Hashable, most: int, now: float) -> None:
        """Raise Problem for who has used up a minute's requests. now: on the monotonic clock."""
        if int(now // 60) != self._minute:
            self._minute = int(now // 60)
            self._counts.clear()
        if self._counts[who] >= most:
            seconds = 60 - int(now % 60)
            raise Problem("rate_limited", n=seconds, retry_after=seconds)

    def spend(self, who: Hashable, most: int, now: float) -> None:
        """Count one request. Raises Problem."""
        self.check(who, most, now)
        self._counts[who] += 1
