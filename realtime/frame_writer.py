"""What the hub may ask of a server that writes frames which are bytes already; live_protocol.py is ours."""

from typing import Protocol

# In `extensions` of a connection's ASGI scope: a `FrameWriter`. Where it is absent, as under another server,
# `send` does the same at a higher price.
EXTENSION = "headway.frames"


class FrameWriter(Protocol):
    """A connection's way past `send`."""

    def takes_frame(self) -> bool:
        """Tell whether the client is there and reads."""

    def write_frame(self, frame: bytes) -> None:
        """Write a frame, after `takes_frame` said yes."""
