"""S0's socket: `/ws/days/` tells `data_updated` of each day of the signed-in user that changed."""

from typing import Any

from ingestion.sources.lifelogs.models import Account
from ingestion.sources.lifelogs.streams import data_updated
from realtime import hub as hubs
from realtime.frames import Ready
from realtime.plain_sockets import Feed, JsonObject, PlainSocket

MOST_ACCOUNTS = 50
LISTENS = {"type": "beat"}  # said once when it is known where all accounts stand: then all is told


class Days(Feed):
    """What a socket is told: where a day stands, when that is another place than before. (S0.34)

    The stream `user:` moves with whatever the user does; then new accounts are looked for.
    """

    def __init__(self, user: Any, groups: dict[str, str]) -> None:
        self._user = user
        self._own = f"user:{user.pk}"
        self._stands: dict[str, dict[str, int]] = {}  # by stream: date -> version
        self._greeted = self._listens = False
        self.streams = {self._own}

    async def tell(self, hub: "hubs.Hub", frame: Ready) -> list[JsonObject] | None:
        """Say which days moved. The first state of an account is where it stands, not news."""
        if frame.stream == self._own:
            found = await hub.in_database(_streams, self._user)
            if self._greeted:
                for name in found - set(self.streams):
                    self._stands[name] = {}  # a new account: all that comes is news
            self._greeted = True
            self._stands = {name: days for name, days in self._stands.items() if name in found}
            self.streams = {self._own, *found}
            return self._begun()
        if frame.stream is None or frame.data is None:
            return None
        moved = frame.data.get("moved", {})
        before = self._stands.get(frame.stream)
        self._stands[frame.stream] = {day: said["version"] for day, said in moved.items()}
        if before is None:
            return self._begun()
        news = [day for day, said in moved.items() if said["version"] > before.get(day, 0)]
        return [data_updated(frame.data["service"], day, moved[day]) for day in sorted(news)]

    def _begun(self) -> list[JsonObject] | None:
        """Say that all is told from now on, once, when the first state of every account is here."""
        if self._listens or not set(self.streams) - {self._own} <= set(self._stands):
            return None
        self._listens = True
        return [LISTENS]


SOCKET = PlainSocket(r"/ws/days/?", Days)


def _streams(user: Any) -> set[str]:
    rows = Account.objects.filter(owner=user).order_by("pk")[:MOST_ACCOUNTS]
    return {row.stream for row in rows}
