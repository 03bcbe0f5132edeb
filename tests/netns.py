"""A network of its own for clients, whose cable a test can pull: no FIN, no RST, only silence."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
SERVER, CLIENT = "10.213.77.1", "10.213.77.2"


class Network:
    """A network namespace joined to ours by one cable.

    number: of several, each with addresses of its own.
    """

    def __init__(self, number: int = 0) -> None:
        self.name = f"headway-{os.getpid()}-{number}"
        self.cable = f"hw{os.getpid() % 10**6}x{number}"
        self.ours, self.address = (f"10.213.77.{4 * number + end}" for end in (1, 2))

    def lay(self) -> None:
        """Make it. Raises CalledProcessError where the machine does not let us."""
        _ip("netns", "add", self.name)
        _ip("link", "add", self.cable, "type", "veth", "peer", "name", "cable", "netns", self.name)
        _ip("addr", "add", f"{self.ours}/30", "dev", self.cable)
        _ip("link", "set", self.cable, "up")
        _ip("-n", self.name, "addr", "add", f"{self.address}/30", "dev", "cable")
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "link", "set", "cable", "up")

    def enter(self) -> None:
        """Move the calling thread into it."""
        with Path(f"/run/netns/{self.name}").open("rb") as place:
            if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

    def pull(self) -> None:
        """Pull the cable."""
        _ip("link", "set", self.cable, "down")

    def plug(self) -> None:
        """Put it back."""
        _ip("link", "set", self.cable, "up")

    def clear(self) -> None:
        """Remove it."""
        subprocess.run(["ip", "link", "del", self.cable], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


@contextmanager
def network(number: int = 0) -> Iterator[Network | None]:
    """Yield a network, or None where there can be none."""
    made = Network(number)
    try:
        try:
            if shutil.which("ip") is None:
                raise FileNotFoundError("ip")
            made.lay()
        except (OSError, subprocess.CalledProcessError):
            yield None
        else:
            yield made
    finally:
        made.clear()


def established(port: int) -> int:
    """Return how many connections from there to a port of ours are open."""
    there = "".join(f"{int(part):02X}" for part in reversed(CLIENT.split(".")))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        row[1].endswith(f":{port:04X}") and row[2].startswith(there) and row[3] == "01" for row in rows
    )


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
