"""The ports that the supervised server listens on."""

from __future__ import annotations

import errno
import http.client
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from core.errors import SetupError


def check_port(host: str, port: int, option: str = "--port") -> None:
    """Returns when the port can be bound now; otherwise the SetupError names the option to change."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: the waiting ends of closed connections do not occupy a port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        raise SetupError(_refusal(error, host, port, option)) from error


def _refusal(error: Exception, host: str, port: int, option: str) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EADDRINUSE:
        return f"Port {port} on {host} is already in use; choose another one with {option}."
    if code in (errno.EACCES, errno.EPERM):
        return f"Port {port} on {host} is reserved for root; choose one above 1023 with {option}."
    return f"Port {port} on {host} cannot be used ({error}); choose another one with {option}."


def answers(url: str) -> Callable[[], bool]:
    """A `Command.ready` that is true once a GET of `url` (plain http) answers 2xx."""
    parts = urlsplit(url)

    def ready() -> bool:
        # http.client, because urllib would send even this through the environment's proxy.
        connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=2)
        try:
            connection.request("GET", parts.path or "/")
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ready
