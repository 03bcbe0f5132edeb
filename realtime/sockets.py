"""The clients of a hub: what it knows of each, and the connections it writes to.

Nothing here passes through a consumer's `dispatch`, which costs a thread hop per event and viewer.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from realtime import limits
from realtime.credentials import Standing
from realtime.credit import Credit
from realtime.frame_writer import FrameWriter
from realtime.frames import Cursor, Ready, text_frame


class Viewer:
    """Whoever watches streams, as the hub knows them.

    standing: by what right they are here; the guard brings it up to date. transport: the name under which
    they are counted. asks_again: every request shows its credential anew.
    """

    transport = ""
    asks_again = False

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self.retry_after_ms: int | None = None  # told with the close to who came too soon
        self.opened_at = time.monotonic()
        self.asked: dict[str, tuple[Cursor | None, int | None]] = {}  # to authorise: cursor, request id
        self.judging: set[str] = set()
        self.streams: set[str] = set()  # streams that the hub watches for it
        self.missed: dict[str, int | None] = {}  # streams of which frames were left out; the id they owe
        self.closed = False
        self.code: int | None = None  # why we closed it

    @property
    def user(self) -> Any:
        """Return whose session or token it is."""
        return self.standing.user

    @property
    def names(self) -> set[str]:
        """Return every stream it watches or asked for."""
        return self.streams | self.judging | self.asked.keys() | self.missed.keys()

    @property
    def parked_at(self) -> float | None:
        """Return since when nothing may be sent to it until it acknowledges."""
        return None

    @property
    def may_catch_up(self) -> bool:
        """Say whether it can be told afresh what was left out."""
        return False

    def put(self, frame: Ready, request: int | None = None) -> None:
        """Take a frame. request: the id it answers."""
        raise NotImplementedError

    def may_send(self, now: float) -> bool:
        """Say whether a message may leave now."""
        return False

    def leaves_at(self, now: float) -> float | None:
        """Return when a waiting message may leave, None when none waits for its time."""
        return None

    def is_quiet(self, now: float, seconds: float) -> bool:
        """Say whether it has heard nothing for so long and wants to know that we live."""
        return False

    def forget(self, stream: str) -> None:
        """Drop what is kept about a stream it left."""
        self.asked.pop(stream, None)
        self.judging.discard(stream)
        self.streams.discard(stream)
        self.missed.pop(stream, None)

    def write(self, now: float, made: dict[str, bytes]) -> bool | None:
        """Write what waits as one message. False: only `flush` can; None: nothing may leave now.

        made: the frames of messages that were made for others already, by text.
        """
        return None

    async def flush(self) -> None:
        """Write what waits as one message."""

    async def finish(self, code: int) -> None:
        """Write what waits, then close."""
        await self.close(code)

    async def close(self, code: int) -> None:
        """Close at once; twice is fine."""
        self.closed, self.code = True, code


class Socket(Viewer):
    """A connection that is written to.

    send: writes one text message to the client; returns when the transport took it.
    close: closes the connection with a code.
    writer: what writes frames at once, where the server has it.
    """

    transport = "websocket"

    def __init__(
        self,
        standing: Standing,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[int], Awaitable[None]],
        writer: FrameWriter | None = None,
    ) -> None:
        super().__init__(standing)
        self._send = send
        self._close = close
        self._writer = writer
        self.pending: list[tuple[Ready, int | None]] = []
        self.pending_bytes = 0
        self.credit: Credit | None = None  # of a client that acknowledges
        self.busy = False
        self.sent_at = time.monotonic()

    @property
    def parked_at(self) -> float | None:
        """Return since when nothing may be sent to it until it acknowledges."""
        return self.credit.spent_at if self.credit else None

    @property
    def may_catch_up(self) -> bool:
        """Say whether it can be told afresh what was left out."""
        can = not self.pending and not self.busy and not self.closed
        return bool(self.missed) and can and self.parked_at is None

    def put(self, frame: Ready, request: int | None = None) -> None:
        """Let a frame wait for the next message, or leave it out for who does not read as fast as we write.

        Of a stream with a frame left out nothing is sent but its whole state, later: so no queue grows.
        """
        if self.closed:
            return
        if frame.version is not None:
            parked = self.credit is not None and self.parked_at is not None
            if parked or self.missed or self.pending_bytes >= limits.PENDING_BYTES:
                self._leave_out(frame, request)
                return
        self.pending.append((frame, request))
        self.pending_bytes += len(frame.text)

    def may_send(self, now: float) -> bool:
        """Say whether a message may leave now."""
        at = self.leaves_at(now)
        return at is not None and now >= at

    def leaves_at(self, now: float) -> float | None:
        """Return when a waiting message may leave, None when none waits for its time."""
        waits = self.pending and not self.busy and not self.closed
        return self.sent_at + limits.SOCKET_SECONDS if waits else None

    def is_quiet(self, now: float, seconds: float) -> bool:
        """Say whether it has heard nothing for so long."""
        return now >= self.sent_at + seconds

    def forget(self, stream: str) -> None:
        """Drop what is kept about a stream it left."""
        super().forget(stream)
        if self.credit:
            self.credit.forget(stream)

    def write(self, now: float, made: dict[str, bytes]) -> bool | None:
        """Write what waits, as much of it as one message may hold, if the client takes it now."""
        # Here goes every delivery of the process: no step that is not needed each time.
        if not self.pending or self.busy or self.closed or now < self.sent_at + limits.SOCKET_SECONDS:
            return None
        if self._writer is None or not self._writer.takes_frame():
            return False
        if frames := self._take(now):
            message = self.message(frames)
            frame = made.get(message)
            if frame is None:
                frame = made[message] = text_frame(message)
            self.sent_at = now
            self._writer.write_frame(frame)
        return True

    async def flush(self) -> None:
        """Write what waits as one message, as much of it as one may hold."""
        self.sent_at = time.monotonic()
        frames = self._take(self.sent_at)
        if not frames:
            return
        self.busy = True
        try:
            async with asyncio.timeout(limits.SEND_SECONDS):
                await self._send(self.message(frames))
        except TimeoutError:
            await self.close(limits.Close.SLOW)
        except (OSError, RuntimeError):
            # The client is gone; its consumer hears that from the server.
            self.closed = True
        finally:
            self.busy = False

    def message(self, frames: list[Ready]) -> str:
        """Return frames as one message: a frame or an array of frames."""
        return frames[0].text if len(frames) == 1 else f"[{','.join(frame.text for frame in frames)}]"

    async def finish(self, code: int) -> None:
        """Write what waits, then close."""
        if self.pending and not self.busy and not self.closed:
            await self.flush()
        await self.close(code)

    async def close(self, code: int) -> None:
        """Close at once; twice is fine."""
        if self.closed:
            return
        self.closed, self.code = True, code
        self.pending.clear()
        self.pending_bytes = 0
        with contextlib.suppress(OSError, RuntimeError):  # the client was faster
            await self._close(code)

    def _take(self, now: float) -> list[Ready]:
        frames: list[Ready] = []
        size = taken = 0
        for frame, request in self.pending:
            length = len(frame.text)
            if frames and size + length > limits.MESSAGE_BYTES:
                break
            taken += 1
            self.pending_bytes -= length
            if self.credit is not None and frame.version is not None:
                if self.parked_at is not None:
                    self._leave_out(frame, request)
                    continue
                self.credit.spend(frame, now)
            frames.append(frame)
            size += length
        del self.pending[:taken]
        return frames

    def _leave_out(self, frame: Ready, request: int | None) -> None:
        assert frame.stream is not None
        if request is not None or frame.stream not in self.missed:
            self.missed[frame.stream] = request
