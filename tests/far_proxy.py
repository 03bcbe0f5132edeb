"""A proxy that counts, in a process of its own: what passes waits for nothing else that a test does."""

import json
import subprocess
import sys
from pathlib import Path

from tests.proxy import Address, Proxy

ROOT = Path(__file__).resolve().parent.parent


class FarProxy:
    """Passes connections to `address` on to `target`, and counts how often `mark` is in what clients send."""

    def __init__(self, target: Address, mark: bytes) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.far_proxy", json.dumps(target), mark.decode()],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address: str = self._told()[0]

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return int(self._ask()[1])

    @property
    def seen(self) -> int:
        """Return how often the mark was seen."""
        return int(self._ask()[2])

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _ask(self) -> list[str]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._told()

    def _told(self) -> list[str]:
        assert self._process.stdout is not None
        return self._process.stdout.readline().split()


def main(target: str, mark: str) -> None:
    """Serve until the input ends; say when asked where, how many connections are open, what was seen."""
    where = json.loads(target)
    proxy = Proxy(where if isinstance(where, str) else (where[0], where[1]), mark.encode())
    print(proxy.address, flush=True)  # noqa: T201 - told to whom started it
    for _ in sys.stdin:
        print(proxy.address, proxy.connections, proxy.seen, flush=True)  # noqa: T201
    proxy.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
