"""What `bench live` measures: ours, the limit in plain Python, the plain ways. `live_servers KIND PORT`."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any

BYTES = 285  # of one message, as PERFORMANCE measures
STREAM = "bench:all"
FEW = "bench:few"
PLAIN = "websockets-sansio"  # uvicorn's own protocol


def message(number: int) -> str:
    """Return the text of one message, with the time it was made."""
    text = {"type": "change", "stream": STREAM, "version": number, "data": {"at": time.time(), "fill": ""}}
    text["data"]["fill"] = "x" * (BYTES - len(json.dumps(text)))
    return json.dumps(text)


def broadcast(port: int) -> None:
    """The limit in plain Python: `websockets.broadcast()`. Whoever sends n makes n messages a second."""
    import uvloop
    from websockets.asyncio.server import broadcast, serve

    rate = 0.0

    async def handler(link: Any) -> None:
        nonlocal rate
        async for text in link:
            with suppress(ValueError):
                rate = float(text)

    async def main() -> None:
        async with serve(handler, "127.0.0.1", port, compression=None, ping_interval=None) as server:
            number = 0
            while True:
                await asyncio.sleep(1 / rate if rate else 0.05)
                if rate:
                    number += 1
                    broadcast(server.connections, message(number))

    uvloop.run(main())


def register_bench() -> None:
    """Make a stream known that costs no query: what is measured is what comes after the read."""
    from realtime.streams import Kind, Reading, register

    last: dict[str, int] = {}

    def read(keys: Mapping[str, int | None]) -> dict[str, Reading]:
        now = time.time()
        last.update(dict.fromkeys(keys, int(now * 1000)))
        data = {"at": now, "fill": f"{int(now * 1000):x}".rjust(120, "x")}
        return {key: Reading(last[key], data, []) for key in keys}

    def versions(keys: Iterable[str]) -> dict[str, int]:
        return {key: last.get(key, 0) for key in keys}  # only hints move it

    register(Kind(name="bench", visible=lambda user, keys: set(keys), versions=versions, read=read))


def hub_application() -> Any:
    """Return our whole application, with the bench's stream and a path without a session."""
    from types import SimpleNamespace

    from config import asgi
    from realtime import hub, limits
    from realtime.consumers import Connection
    from realtime.credentials import Standing
    from realtime.routing import websockets

    register_bench()
    limits.CONNECTIONS = 10_000

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        """What a live socket costs without knowing whose it is."""
        await receive()
        await send({"type": "websocket.accept"})
        user = SimpleNamespace(pk=id(scope), is_authenticated=True, is_active=True)
        standing = Standing(user, None, time.monotonic())
        await Connection(hub.current(), scope, receive, send, standing).run()

    asgi.websocket = websockets(more={"/ws/bare/": bare})
    return asgi.application


def group_application() -> Any:
    """Return the plain way with Channels: a consumer a viewer, all in one group."""
    import django

    django.setup()
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.urls import path

    class GroupConsumer(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.channel_layer.group_add("bench", self.channel_name)
            await self.accept()

        async def bench(self, event: Any) -> None:
            await self.send(text_data=event["text"])

    return ProtocolTypeRouter({"websocket": URLRouter([path("ws/live/", GroupConsumer.as_asgi())])})


def celery_application() -> Any:
    """Return celery-progress's consumer, the whole of it, without celery: fan-out calls nothing of that."""
    import django

    django.setup()
    result, base = ModuleType("celery.result"), ModuleType("celery.backends.base")
    for name in ("EagerResult", "AsyncResult", "allow_join_result"):
        setattr(result, name, type(name, (), {}))
    base.DisabledBackend = type("DisabledBackend", (), {})  # type: ignore[attr-defined]
    for name in ("celery", "celery.backends"):
        sys.modules[name] = ModuleType(name)
    sys.modules |= {"celery.result": result, "celery.backends.base": base}
    from celery_progress.websockets.consumers import ProgressConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.urls import path

    route = path("ws/live/", ProgressConsumer.as_asgi(), {"task_id": "bench"})
    return ProtocolTypeRouter({"websocket": URLRouter([route])})


APPLICATIONS = {"hub": hub_application, "group": group_application, "celery": celery_application}


def __getattr__(name: str) -> Any:
    """Return an application by name: daphne imports `tests.benchmarks.live_servers:hub`."""
    if name in APPLICATIONS:
        return APPLICATIONS[name]()
    raise AttributeError(name)


def main(kind: str, port: int) -> None:
    """Serve until stopped. `KIND-send` has uvicorn's own protocol, `KIND-daphne` is under daphne."""
    name, _, how = kind.partition("-")
    if kind == "broadcast":
        broadcast(port)
        return
    if how == "daphne":
        command = ["daphne", "-p", str(port), "-v", "0", f"tests.benchmarks.live_servers:{name}"]
        os.execv(sys.executable, [sys.executable, "-m", *command])
    from config.serve import Server, configuration

    config = configuration(APPLICATIONS[name](), "127.0.0.1", port, max_bytes=64 * 1024)
    if how == "send" or name != "hub":
        config.ws = PLAIN
    Server(config).run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
