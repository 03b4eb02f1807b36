"""The simulated provider behind a socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from demo.provider.app import Served, create_provider


@dataclass(frozen=True)
class Provider:
    """A running provider; `log` returns its own record of what it served."""

    url: str
    _app: object

    def log(self) -> list[Served]:
        return list(self._app.state.simulator.log)  # type: ignore[attr-defined]

    @property
    def openai_url(self) -> str:
        """What the `openai` client takes as `base_url`; the `anthropic` client takes `url`."""
        return f"{self.url}/v1"


@contextmanager
def running_provider(wait: float = 1.0, port: int = 0) -> Iterator[Provider]:
    """A provider in a thread of this process, on 127.0.0.1, until the block ends."""
    app = create_provider(wait)
    with listening(port) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, args=([listener],), name="provider", daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        try:
            yield Provider(address(listener), app)
        finally:
            server.should_exit = True
            thread.join(5)


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket on 127.0.0.1; port 0 is any free one."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
        yield listener


def address(listener: socket.socket) -> str:
    """Where it answers."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"
