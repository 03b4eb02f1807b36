"""What the collector refuses before it costs anything: bodies too large, and more work than fits."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from core.errors import Overloaded, TooLarge, Undecodable

_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """`body_max_bytes` holds for a body before and after decompression; `queue_max_bytes` for all bodies
    in work at one time, packed and unpacked."""

    body_max_bytes: int
    queue_max_bytes: int


class Room:
    """How much of the queue is taken, in bytes. Any thread may use it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.taken = 0
        self._lock = threading.Lock()

    def reserve(self, size_bytes: int = 0) -> Reservation:
        """A place for one body; raises where the body is too large or the queue is full."""
        reservation = Reservation(self)
        reservation.receive(size_bytes)
        return reservation

    def take(self, size_bytes: int, more: int) -> None:
        """Take `more` for a body that then holds `size_bytes` in all."""
        if size_bytes > self.limits.queue_max_bytes:
            # Alone it would not fit either, so asking the sender to come again would be a lie.
            raise _too_large(self.limits.queue_max_bytes, "TRIPOINT_QUEUE_MAX_BYTES")
        with self._lock:
            if self.taken + more > self.limits.queue_max_bytes:
                raise Overloaded(
                    "The collector has as many bodies in work as it may hold. Send this one again later."
                )
            self.taken += more

    def give_back(self, size_bytes: int) -> None:
        with self._lock:
            self.taken -= size_bytes


class Reservation:
    """The bytes that one body holds of the queue, as it came and unpacked, given back at the end."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._received = 0
        self._unpacked = 0

    def receive(self, size_bytes: int) -> None:
        """Hold `size_bytes` at least for the body as it came."""
        self._received += self._hold(size_bytes, self._received)

    def unpack(self, size_bytes: int) -> None:
        """Hold `size_bytes` at least for the body unpacked, beside the packed one."""
        self._unpacked += self._hold(size_bytes, self._unpacked)

    def _hold(self, size_bytes: int, held: int) -> int:
        limit = self._room.limits.body_max_bytes
        if size_bytes > limit:
            raise _too_large(limit, "TRIPOINT_BODY_MAX_BYTES")
        more = max(0, size_bytes - held)
        if more:
            self._room.take(self._received + self._unpacked + more, more)
        return more

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.give_back(self._received + self._unpacked)
        self._received = self._unpacked = 0


def _too_large(limit: int, setting: str) -> TooLarge:
    return TooLarge(
        f"The body is larger than {limit} bytes. Send smaller batches, or raise {setting} on the server."
    )


def inflate(body: bytes, hold: Callable[[int], None]) -> bytes:
    """The gzip body unpacked. `hold` hears the size before it grows and stops it by raising: a bomb costs no
    more than a large body."""
    parts: list[bytes] = []
    total = 0
    rest = body
    while rest:
        # A gzip file may be several members, one after the other.
        stream = zlib.decompressobj(wbits=31)
        while not stream.eof:
            part = _inflate_some(stream, rest)
            total += len(part)
            hold(total)
            parts.append(part)
            rest = stream.unconsumed_tail
            if not part and not rest and not stream.eof:
                raise Undecodable("The gzip body ends too early. Send it again whole.")
        # Some writers pad the end with zeros, which gzip itself reads as nothing.
        rest = stream.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _inflate_some(stream: zlib._Decompress, data: bytes) -> bytes:
    try:
        return stream.decompress(data, _CHUNK)
    except zlib.error as error:
        raise Undecodable(
            "The Content-Encoding header says gzip but the body is not gzip. Compress it, or drop the header."
        ) from error
