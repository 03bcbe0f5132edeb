"""A TCP proxy that breaks what passes through it: between client and server, or server and its services.

It does what toxiproxy does (latency, bandwidth, timeout, reset_peer), whose server no package registry has.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

CHUNK = 16 * 1024
WAITING = 64  # chunks under way in one direction; more are left with their sender
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close sends RST and forgets what was not sent

Address = tuple[str, int] | str  # host and port, or the path of a unix socket


class Proxy:
    """Passes connections to 127.0.0.1:`port` on to `target`. Everything may be called from any thread.

    latency: seconds that bytes take longer, each way. rate: bytes a second and direction, None: as they come.
    seen: how often `mark` was in what clients sent.
    """

    def __init__(self, target: Address, mark: bytes = b"") -> None:
        self.target = target
        self.mark = mark
        self.heal()
        self.seen = 0
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._do(self._listen(0))

    @property
    def address(self) -> str:
        """Return where to connect, as host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self._links)

    def heal(self) -> None:
        """Break nothing that passes from now on. What was cut stays cut; `allow` ends a refusal."""
        self.latency = 0.0
        self.rate: float | None = None
        self.silent = False

    def silence(self) -> None:
        """Let nothing through either way, not even an end: as if the cable were out. `heal` lets it go on."""
        self.silent = True

    def cut(self) -> None:
        """Reset every connection."""
        self._do(self._each(_Link.reset))

    def half_close(self) -> None:
        """End what clients hear, while what they say still passes."""
        self._do(self._each(_Link.half_close))

    def deafen(self) -> None:
        """Let clients on the connections of now hear nothing more, not even an end; new ones are whole.

        So it is after a computer slept: its old connections still say that they are open.
        """
        self._do(self._each(_Link.deafen))

    def lose_answers(self) -> None:
        """Let clients on the connections of now speak on, and reset them before they hear an answer."""
        self._do(self._each(_Link.lose_answers))

    def refuse(self) -> None:
        """Reset every connection and take no other."""
        self._do(self._refuse())
        self.cut()

    def allow(self) -> None:
        """Take connections again."""
        if self._server is None:
            self._do(self._listen(self.port))

    def close(self) -> None:
        """End it."""
        self.refuse()
        self._do(self._settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self, port: int) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _settle(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _each(self, what: "Callable[[_Link], None]") -> None:
        for link in list(self._links):
            what(link)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward = await self._open()
        except OSError:
            _reset(writer)
            return
        link = _Link(self, writer, onward[1])
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(link.carry(reader, onward[1], self._look))
                group.create_task(link.carry(onward[0], writer, link.hear))
        except* OSError:
            link.reset()
        finally:
            self._links.discard(link)
            for end in (writer, onward[1]):
                end.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, str):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection(*self.target)

    def _look(self, data: bytes) -> bytes:
        if self.mark:
            self.seen += data.count(self.mark)
        return data


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.ends = (client, server)
        self.mute = False
        self.fragile = False

    def reset(self) -> None:
        for end in self.ends:
            _reset(end)

    def deafen(self) -> None:
        self.mute = True

    def lose_answers(self) -> None:
        self.fragile = True

    def half_close(self) -> None:
        self.mute = True
        with contextlib.suppress(OSError):
            self.ends[0].write_eof()

    def hear(self, data: bytes) -> bytes:
        if self.fragile:
            self.reset()
        return b"" if self.mute or self.fragile else data

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Callable[[bytes], bytes]
    ) -> None:
        """Carry one direction: read here, and write there when it is due."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(WAITING)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take(reader, waiting.put))
            group.create_task(self._give(waiting.get, writer, look))

    async def _take(
        self, reader: asyncio.StreamReader, put: Callable[[tuple[float, bytes]], Awaitable[None]]
    ) -> None:
        now = asyncio.get_running_loop().time
        while True:
            data = await reader.read(CHUNK)
            await put((now() + self.proxy.latency, data))
            if not data:
                return

    async def _give(
        self,
        get: Callable[[], Awaitable[tuple[float, bytes]]],
        writer: asyncio.StreamWriter,
        look: Callable[[bytes], bytes],
    ) -> None:
        now = asyncio.get_running_loop().time
        while True:
            due, data = await get()
            await asyncio.sleep(max(0.0, due - now()))
            while self.proxy.silent:
                await asyncio.sleep(0.02)
            if not data:
                if not self.mute and not writer.is_closing():
                    writer.write_eof()
                return
            for start in range(0, len(data), self._portion()):
                portion = data[start : start + self._portion()]
                if self.proxy.rate is not None:
                    await asyncio.sleep(len(portion) / self.proxy.rate)
                if portion := look(portion):
                    writer.write(portion)
                    await writer.drain()

    def _portion(self) -> int:
        return CHUNK if self.proxy.rate is None else max(1, int(self.proxy.rate / 20))


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
