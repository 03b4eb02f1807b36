"""Where a webhook may lead: its name is looked up once, checked, and only that address is called.

Else a channel could make the server call what only the server reaches: itself, its neighbours, its cloud's metadata.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from core.errors import BadInput

Lookup = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Target:
    """An address to call, for a host whose name it answers to."""

    url: str
    host: str
    header: str


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host; `BadInput` where it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BadInput(f"The host {host[:100]} cannot be found: {error}.") from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def target_of(url: str, *, private: bool, lookup: Lookup = look_up) -> Target:
    """The address behind a URL. Unless `private` ones are allowed, a host with any address that is not of the public
    internet is refused: one that answers now so and now so is not trusted with either."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = lookup(host, port)
    if not addresses:
        raise BadInput(f"The host {host[:100]} has no address.")
    if not private and (closed := next((one for one in addresses if not is_public(one)), None)):
        raise BadInput(
            f"{host[:100]} leads to {closed}, which is not on the public internet. Set"
            " TRIPOINT_PRIVATE_WEBHOOKS=true to allow that."
        )
    chosen = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    shown = f"[{host}]" if ":" in host else host
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    header = shown if parts.port is None else f"{shown}:{port}"
    return Target(f"{parts.scheme}://{chosen}:{port}{path}", host, header)


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet; IPv4 in IPv6 clothes is looked at as IPv4."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if inner:
            return is_public(str(inner))
        if found in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast and not found.is_reserved


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
