"""One client of the hub: the frames that wait for it, and how they get out.

Nothing here passes through a consumer's `dispatch`, which costs a thread hop per event and viewer.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from realtime import limits
from realtime.frames import Cursor


class Waiting(NamedTuple):
    """A frame that waits. `stream` names the stream whose fresh state can replace it."""

    frame: str
    stream: str | None = None
    id: int | None = None


class Socket:
    """A connected client.

    user: whose session or token it is.
    send: writes one text message to the client; returns when the transport took it.
    close: closes the connection with a code.
    """

    def __init__(
        self,
        user: Any,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[int], Awaitable[None]],
    ) -> None:
        self.user = user
        self._send = send
        self._close = close
        self.asked: dict[
            str, tuple[Cursor | None, int | None]
        ] = {}  # streams to authorise: cursor, request id
        self.judging: set[str] = set()
        self.streams: set[str] = set()  # streams that the hub watches for it
        self.pending: list[Waiting] = []
        self.pending_bytes = 0
        self.owed: dict[str, int] = {}  # ids of requests whose answers were left out
        self.busy = False
        self.behind = False  # frames were left out; it gets each stream's state once it can be written to
        self.closed = False
        self.sent_at = time.monotonic()

    @property
    def names(self) -> set[str]:
        """Return every stream it watches or asked for."""
        return self.streams | self.judging | self.asked.keys()

    def put(self, frame: str, stream: str | None = None, request: int | None = None) -> None:
        """Let a frame wait for the next message.

        stream: set for a frame that a fresh state of this stream can replace. request: the id it answers.
        """
        if self.closed:
            return
        waiting = Waiting(frame, stream, request)
        if self.behind and stream is not None:
            self._leave_out(waiting)
            return
        self.pending.append(waiting)
        self.pending_bytes += len(frame)
        if self.busy and (
            len(self.pending) > limits.PENDING_FRAMES or self.pending_bytes > limits.PENDING_BYTES
        ):
            self._fall_behind()

    def may_send(self, now: float) -> bool:
        """Say whether a message may leave now."""
        return bool(self.pending) and not self.busy and not self.closed and now >= self.sent_at + self.pause

    @property
    def pause(self) -> float:
        """Return the least time between two messages, in seconds."""
        return limits.SOCKET_SECONDS

    async def flush(self) -> None:
        """Write what waits as one message, a frame or an array of frames."""
        message = self._take()
        self.busy = True
        self.sent_at = time.monotonic()
        try:
            async with asyncio.timeout(limits.SEND_SECONDS):
                await self._send(message)
        except TimeoutError:
            await self.close(limits.Close.SLOW)
        except (OSError, RuntimeError):
            # The client is gone; its consumer hears that from the server.
            self.closed = True
        finally:
            self.busy = False

    async def finish(self, code: int) -> None:
        """Write what waits, then close."""
        if self.pending and not self.busy and not self.closed:
            await self.flush()
        await self.close(code)

    async def close(self, code: int) -> None:
        """Close at once; twice is fine."""
        if self.closed:
            return
        self.closed = True
        self._keep([])
        with contextlib.suppress(OSError, RuntimeError):  # the client was faster
            await self._close(code)

    def _take(self) -> str:
        size = count = 0
        for waiting in self.pending:
            size += len(waiting.frame)
            if count and size > limits.MESSAGE_BYTES:
                break
            count += 1
        frames = [waiting.frame for waiting in self.pending[:count]]
        self._keep(self.pending[count:])
        return frames[0] if count == 1 else f"[{','.join(frames)}]"

    def _fall_behind(self) -> None:
        """Keep no queue for who does not read as fast as we write; only what no state can say later."""
        self.behind = True
        for waiting in self.pending:
            self._leave_out(waiting)
        self._keep([waiting for waiting in self.pending if waiting.stream is None])

    def _leave_out(self, waiting: Waiting) -> None:
        if waiting.stream is not None and waiting.id is not None:
            self.owed[waiting.stream] = waiting.id

    def _keep(self, pending: list[Waiting]) -> None:
        self.pending = pending
        self.pending_bytes = sum(len(waiting.frame) for waiting in pending)
