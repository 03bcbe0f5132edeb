"""Believe what a proxy says about a client, if it is one of ours."""

import ipaddress
from collections.abc import Sequence
from typing import Any

SCHEMES = {"http": {"http": "http", "https": "https"}, "websocket": {"http": "ws", "https": "wss"}}


class Proxies:
    """ASGI wrapper: takes address and scheme of the client from the headers of trusted proxies alone."""

    def __init__(self, app: Any, trusted: Sequence[str]) -> None:
        self.app = app
        self.trusted = [ipaddress.ip_network(text, strict=False) for text in trusted]

    def is_trusted(self, address: str) -> bool:
        """Tell whether an address is one of our proxies."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self.trusted)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Handle one connection."""
        client = scope.get("client")
        if scope["type"] in SCHEMES and client and self.is_trusted(client[0]):
            scope = self._seen_by_proxy(scope)
        await self.app(scope, receive, send)

    def _seen_by_proxy(self, scope: dict[str, Any]) -> dict[str, Any]:
        def header(name: bytes) -> list[str]:
            values = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
            return [part.strip() for part in ",".join(values).split(",") if part.strip()]

        changed = dict(scope)
        hops = header(b"x-forwarded-for")
        # From the right: what stands further left was written by the client itself.
        for address in reversed(hops):
            try:
                ipaddress.ip_address(address)
            except ValueError:
                break
            changed["client"] = (address, 0)
            if not self.is_trusted(address):
                break
        scheme = header(b"x-forwarded-proto")
        if scheme and scheme[-1] in SCHEMES[scope["type"]]:
            changed["scheme"] = SCHEMES[scope["type"]][scheme[-1]]
        return changed
