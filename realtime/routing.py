"""WebSocket paths. Any that is not here is answered with 4404, never with an error of the server."""

from collections.abc import Sequence
from typing import Any

from realtime import paths
from realtime.consumers import LiveConsumer
from realtime.limits import Close
from realtime.live_daphne import DaphneFrames
from realtime.origin import OriginCheck, Scope
from realtime.plain_sockets import PlainSocket


def websockets(more: dict[str, Any] | None = None, patterns: Sequence[PlainSocket] = ()) -> Any:
    """Return the ASGI application of all WebSockets.

    more: other paths -> their applications. patterns: those that know their paths themselves.
    """
    apps = {paths.SOCKET: LiveConsumer(), **(more or {})}

    async def route(scope: Scope, receive: Any, send: Any) -> None:
        path = scope["path"]
        app = apps.get(path) or next((one for one in patterns if one.matches(path)), _no_such_path)
        await app(scope, receive, send)

    return DaphneFrames(OriginCheck(route))


async def _no_such_path(scope: Scope, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})  # a close before the accept would hide the code
    await send({"type": "websocket.close", "code": int(Close.NO_SUCH_PATH)})
