"""What the collector refuses before it costs anything: bodies too large, and more work than fits."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from types import TracebackType

from core.errors import Overloaded, TooLarge, Undecodable

_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """`body_max_bytes` holds for a body before and after decompression; `queue_max_bytes` for all bodies
    in work at one time."""

    body_max_bytes: int
    queue_max_bytes: int


class Room:
    """How much of the queue is taken, in bytes. Used from one event loop only."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.taken = 0

    def reserve(self, size_bytes: int = 0) -> Reservation:
        """A place for one body; raises where the body is too large or the queue is full."""
        reservation = Reservation(self)
        reservation.grow_to(size_bytes)
        return reservation


class Reservation:
    """The bytes that one body holds of the queue, given back at the end."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._size = 0

    def grow_to(self, size_bytes: int) -> None:
        """Hold `size_bytes` at least."""
        limits = self._room.limits
        if size_bytes > limits.body_max_bytes:
            raise TooLarge(
                f"The body is larger than {limits.body_max_bytes} bytes. Send smaller batches,"
                " or raise TRIPOINT_BODY_MAX_BYTES on the server."
            )
        more = size_bytes - self._size
        if more <= 0:
            return
        if self._room.taken + more > limits.queue_max_bytes:
            raise Overloaded(
                "The collector has as many bodies in work as it may hold. Send this one again later."
            )
        self._room.taken += more
        self._size = size_bytes

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.taken -= self._size
        self._size = 0


def inflate(body: bytes, max_bytes: int) -> bytes:
    """The gzip body unpacked, never more than `max_bytes` of it: a bomb costs no more than a large body."""
    parts: list[bytes] = []
    total = 0
    rest = body
    while rest:
        # A gzip file may be several members, one after the other.
        stream = zlib.decompressobj(wbits=31)
        while not stream.eof:
            part = _inflate_some(stream, rest, min(_CHUNK, max_bytes - total + 1))
            total += len(part)
            if total > max_bytes:
                raise TooLarge(
                    f"The body unpacks to more than {max_bytes} bytes. Send smaller batches,"
                    " or raise TRIPOINT_BODY_MAX_BYTES on the server."
                )
            parts.append(part)
            rest = stream.unconsumed_tail
            if not part and not rest and not stream.eof:
                raise Undecodable("The gzip body ends too early. Send it again whole.")
        rest = stream.unused_data
    return b"".join(parts)


def _inflate_some(stream: zlib._Decompress, data: bytes, at_most: int) -> bytes:
    try:
        return stream.decompress(data, at_most)
    except zlib.error as error:
        raise Undecodable(
            "The Content-Encoding header says gzip but the body is not gzip. Compress it, or drop the header."
        ) from error
