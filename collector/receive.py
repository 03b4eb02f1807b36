"""OTLP in: key → project, decode, read, price, write, answer. 200 means that the rows are committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Engine
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from collector import metrics
from collector.decode import count_data_points, count_log_records, decode_traces
from collector.intake import Intake
from collector.limits import Reservation, Room, inflate
from collector.read import Clocks, merge, read_spans
from collector.reply import (
    MEDIA_TYPES,
    Encoding,
    Outcome,
    Reply,
    Signal,
    failure,
    status_reply,
    success,
)
from core.access import Access, key_in_header
from core.errors import Forbidden, Overloaded, TripointError, Undecodable
from core.pricing.price import PriceBook
from core.store.door import Door
from core.store.intake import Batch, days_to_make
from core.store.partitions import ensure_days

log = structlog.get_logger()

# Above this a body is decoded beside the event loop, so that small senders are not held up by it.
_ASIDE_BYTES = 64 * 1024
_BODY_TIMEOUT_S = 60

# The paths on which exporters in the wild post, besides the standard's own.
PATHS: dict[Signal, tuple[str, ...]] = {
    "traces": ("/v1/traces", "/api/public/otel/v1/traces", "/opentelemetry/v1/traces"),
    "logs": ("/v1/logs", "/api/public/otel/v1/logs", "/opentelemetry/v1/logs"),
    "metrics": ("/v1/metrics", "/api/public/otel/v1/metrics", "/opentelemetry/v1/metrics"),
}


@dataclass(frozen=True, slots=True)
class Collector:
    """What receiving needs; made once a process by the roof."""

    writer: Engine
    door: Door
    intake: Intake
    room: Room
    book: Callable[[], PriceBook]
    clock: Callable[[], datetime]
    past: timedelta
    future: timedelta
    store_content: bool = True


def routes(collector: Collector) -> list[Route]:
    """The OTLP/HTTP routes."""

    def route(signal: Signal, path: str) -> Route:
        async def endpoint(request: Request) -> Response:
            return await _answer(collector, signal, request)

        return Route(path, endpoint, methods=["POST"], name=f"otlp_{signal}")

    return [route(signal, path) for signal, paths in PATHS.items() for path in paths]


async def _answer(collector: Collector, signal: Signal, request: Request) -> Response:
    encoding = _encoding(request)
    if encoding is None:
        reply = status_reply(
            415, 3, "Send OTLP as Content-Type application/x-protobuf or application/json.", "json"
        )
    else:
        reply = await _reply(collector, signal, request, encoding)
    metrics.BODIES.labels(signal=signal, status=reply.status).inc()
    return Response(reply.body, reply.status, headers=reply.headers, media_type=MEDIA_TYPES[reply.encoding])


async def _reply(collector: Collector, signal: Signal, request: Request, encoding: Encoding) -> Reply:
    try:
        access = await admit(collector, request.headers.get("authorization"))
        with collector.room.reserve(_declared_length(request)) as reservation:
            body = await _body(request, reservation)
            outcome = await receive(collector, access, signal, encoding, body)
        return success(signal, outcome, encoding)
    except TripointError as error:
        return failure(error, encoding)
    except ClientDisconnect:
        return status_reply(400, 1, "The connection ended before the body did.", encoding)
    except TimeoutError:
        # Not 408: exporters do not send such a body again.
        return failure(Overloaded(f"The body took longer than {_BODY_TIMEOUT_S} s to arrive."), encoding)
    except Exception:
        log.exception("receive.failed", signal=signal)
        return status_reply(500, 13, "Tripoint failed on this body; its log says more.", encoding)


async def admit(collector: Collector, authorization: str | None) -> Access:
    """Whose body this is; only a key that may ingest is let in."""
    secret = key_in_header(authorization)
    access = collector.door.recall(secret) if secret else None
    if access is None:
        access = await asyncio.to_thread(collector.door.open, secret)
    if not access.may_ingest():
        raise Forbidden(f"A key with the role {access.role!r} cannot send data. Use an ingest key.")
    return access


async def receive(
    collector: Collector, access: Access, signal: Signal, encoding: Encoding, body: bytes
) -> Outcome:
    """One decoded body, committed; over HTTP and gRPC alike."""
    if signal == "traces":
        return await receive_traces(collector, access, encoding, body)
    count = count_log_records if signal == "logs" else count_data_points
    items = await asyncio.to_thread(count, body, encoding)
    metrics.UNREAD.labels(signal=signal).inc(items)
    if not items:
        return Outcome()
    return Outcome(items, f"This version of Tripoint reads traces only; nothing of these {signal} was kept.")


async def receive_traces(collector: Collector, access: Access, encoding: Encoding, body: bytes) -> Outcome:
    """Decode, read, price and commit the spans of one body."""

    def work() -> tuple[Batch, Outcome]:
        decoded = decode_traces(body, encoding)
        return read_spans(decoded, access.project_id, collector.book(), clocks, collector.store_content)

    clocks = Clocks(collector.clock(), collector.past, collector.future)
    batch, outcome = await asyncio.to_thread(work) if len(body) > _ASIDE_BYTES else work()
    if days := days_to_make(collector.writer, batch):
        # A backfill makes its partitions here, so that nobody else's commit waits for them.
        await asyncio.to_thread(ensure_days, collector.writer, days)
    refused = await collector.intake.submit(batch)
    outcome = merge(outcome, refused)
    metrics.SPANS.inc(len(batch))
    metrics.SCORES.inc(len(batch.scores))
    metrics.REJECTED.inc(outcome.rejected)
    if outcome.rejected:
        log.warning(
            "receive.rejected", project=access.project_id, spans=outcome.rejected, why=outcome.message
        )
    return outcome


def _encoding(request: Request) -> Encoding | None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return next((encoding for encoding, known in MEDIA_TYPES.items() if known == media_type), None)


def _declared_length(request: Request) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isdigit() else 0


async def _body(request: Request, reservation: Reservation) -> bytes:
    """The body, unpacked, never larger than the limit on either side of the unpacking."""
    compression = request.headers.get("content-encoding", "identity").strip().lower()
    if compression not in ("identity", "", "gzip", "x-gzip"):
        raise Undecodable(f"Content-Encoding {compression!r} is not supported. Use gzip or none.")
    parts: list[bytes] = []
    size = 0
    async with asyncio.timeout(_BODY_TIMEOUT_S):
        async for part in request.stream():
            size += len(part)
            reservation.receive(size)
            parts.append(part)
    body = b"".join(parts)
    if not compression.endswith("gzip"):
        return body
    if size <= _ASIDE_BYTES // 8:
        return inflate(body, reservation.unpack)
    return await asyncio.to_thread(inflate, body, reservation.unpack)
