"""WebSocket paths. Any that is not here is answered with 4404, never with an error of the server."""

from typing import Any

from realtime.consumers import LiveConsumer
from realtime.limits import Close
from realtime.origin import OriginCheck, Scope

LIVE = "/ws/live/"


def websockets(more: dict[str, Any] | None = None) -> Any:
    """Return the ASGI application of all WebSockets.

    more: other paths -> their applications.
    """
    apps = {LIVE: LiveConsumer(), **(more or {})}

    async def route(scope: Scope, receive: Any, send: Any) -> None:
        await apps.get(scope["path"], _no_such_path)(scope, receive, send)

    return OriginCheck(route)


async def _no_such_path(scope: Scope, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})  # a close before the accept would hide the code
    await send({"type": "websocket.close", "code": int(Close.NO_SUCH_PATH)})
