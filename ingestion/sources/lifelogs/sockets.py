"""S0's socket: `/ws/days/` tells `data_updated` of each day of the signed-in user that changed."""

from typing import Any

from ingestion.sources.lifelogs.models import Account
from ingestion.sources.lifelogs.streams import data_updated
from realtime import hub as hubs
from realtime.plain_sockets import JsonObject, OwnFeed, PlainSocket

MOST_ACCOUNTS = 50


class Days(OwnFeed):
    """Where a day stands, when that is another place than before. (S0.34)"""

    def find(self) -> set[str]:
        """Return the streams of the user's accounts."""
        return {row.stream for row in Account.objects.filter(owner=self.user).order_by("pk")[:MOST_ACCOUNTS]}

    def stands(self, data: JsonObject) -> dict[str, Any]:
        """Return the version of each day that moved last."""
        # At 0 only a look at it failed, which is no news. (S0.22)
        return {day: said["version"] for day, said in data.get("moved", {}).items() if said["version"]}

    async def news(
        self, hub: "hubs.Hub", stream: str, data: JsonObject, moved: list[str]
    ) -> list[JsonObject]:
        """Say of each day that it changed, the oldest first."""
        account = int(stream.partition(":")[2])
        return [data_updated(account, data["service"], day, data["moved"][day]) for day in sorted(moved)]


SOCKET = PlainSocket(r"/ws/days/?", Days)
