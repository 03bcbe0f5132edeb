"""The one door of the live wire: who may come in, whatever the transport."""

import random
import time
from typing import TYPE_CHECKING

from django.db import Error as DatabaseAway

from realtime import limits
from realtime.credentials import Standing, claimed, identify
from realtime.limits import Close
from realtime.origin import Scope

if TYPE_CHECKING:
    from realtime.hub import Hub


class NotAdmitted(Exception):
    """Somebody may not come in.

    code: why, as a close code. retry_after_ms: when to come again, for who only came too soon.
    """

    def __init__(self, code: Close, retry_after_ms: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after_ms = retry_after_ms


async def admit_socket(hub: "Hub", scope: Scope) -> Standing:
    """Return by what right a socket is here, if there is room and it does not come too soon.

    Raises NotAdmitted.
    """
    if len(hub.everybody()) >= limits.CONNECTIONS:
        raise NotAdmitted(Close.TOO_MANY, random.randint(*limits.FULL_MS))
    claim, window, now = claimed(scope), hub.arrivals.window, time.monotonic()
    if claim is not None:
        wait = window.wait_ms(claim, now)
        if wait:
            raise NotAdmitted(Close.TOO_MANY, wait)
        window.count(claim, now)
    return await admit(hub, scope)


async def admit(hub: "Hub", scope: Scope) -> Standing:
    """Return by what right a request is here. Raises NotAdmitted."""
    try:
        standing = await hub.in_database(identify, scope)
    except DatabaseAway:
        # Not signed out, only not to be found out: the client may come back.
        raise NotAdmitted(Close.DRAINING) from None
    if standing is None or standing.user is None:
        raise NotAdmitted(Close.SIGNED_OUT)
    return standing
