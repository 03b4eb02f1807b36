"""HTTP as uvicorn and httptools speak it, with a bound on what a client may send before its headers end."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX_BYTES = 512 * 1024


class BoundedHeads(HttpToolsProtocol):
    """A request line with headers above `HEAD_MAX_BYTES` is answered 400 and the connection closed; without
    this anybody could fill the memory before showing a key."""

    _in_head = True
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                self.send_400_response("The request's headers are too large.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()
