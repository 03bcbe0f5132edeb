"""Which addresses of the outside world may be called: public ones, judged after the name was resolved.

And as whom an address that calls us is counted.
"""

import ipaddress
import socket
from collections.abc import Collection
from typing import Any

Address = tuple[socket.AddressFamily, tuple[Any, ...]]

# What `is_global` of Python 3.11 lets through although it leads inside, or nowhere.
_INSIDE = [
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "::/96",
        "64:ff9b:1::/48",
        "2001::/23",
        "2002::/16",
        "fec0::/10",
    )
]
HOUSEHOLD_BITS = 64  # the least that is given to a household or a machine (RFC 6177)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NotAllowed(Exception):
    """The address may not be called; the text is for people."""


def is_public(text: str) -> bool:
    """Say whether an IP address is one of the public internet, also when it wraps another."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address in _NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if any(address in network for network in _INSIDE if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def counted(text: str) -> str:
    """Return as whom an address that asks is counted: of IPv6 its network, which is what one household has.

    There are so many addresses in it that limits of each would be none.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:  # a socket of the machine has none
        return text or "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, HOUSEHOLD_BITS), strict=False))


def resolve(host: str, port: int, allowed: Collection[str] = ()) -> list[Address]:
    """Return where to connect for a host name, resolved once: connect to these, never to the name again.

    allowed: hosts that may have private addresses. Raises NotAllowed, also when only some addresses of the
    name are private; OSError when it does not resolve.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if host.lower() not in allowed and not all(is_public(str(sockaddr[0])) for *_, sockaddr in found):
        raise NotAllowed("This address is not allowed.")
    return [(family, sockaddr) for family, *_, sockaddr in found]
