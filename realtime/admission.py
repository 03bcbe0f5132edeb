"""The one door of the live wire: who may come in, whatever the transport."""

import asyncio
from typing import TYPE_CHECKING

from django.db import Error as DatabaseAway

from realtime import limits
from realtime.credentials import Standing, identify
from realtime.limits import Close
from realtime.origin import Scope

if TYPE_CHECKING:
    from realtime.hub import Hub


class NotAdmitted(Exception):
    """Somebody may not come in; `code` says why, as a close code."""

    def __init__(self, code: Close) -> None:
        super().__init__(code)
        self.code = code


async def admit(hub: "Hub", scope: Scope) -> Standing:
    """Return by what right a request is here. Raises NotAdmitted."""
    try:
        standing = await hub.in_database(identify, scope)
        if standing is not None and not standing.settled:
            await asyncio.sleep(limits.RENEWAL_SECONDS)
            standing = await hub.in_database(identify, scope)
    except DatabaseAway:
        # Not signed out, only not to be found out: the client may come back.
        raise NotAdmitted(Close.DRAINING) from None
    if standing is None or standing.user is None:
        raise NotAdmitted(Close.SIGNED_OUT)
    return standing
