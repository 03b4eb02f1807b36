"""Spans → bodies ready to send."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.sdk.trace import ReadableSpan

from tripoint import _content
from tripoint._log import tell_once

LARGEST = 4 << 20


class Parcel(NamedTuple):
    """One body and how many spans are in it; `made` is when, on the monotonic clock."""

    body: bytes
    spans: int
    made: float
    tries: int = 0


def pack(
    spans: Sequence[ReadableSpan], resource: Mapping[str, str], packed: bool, now: float
) -> Iterator[Parcel | int]:
    """Bodies of at most 4 MiB unpacked. A number stands for spans that cannot be written at all."""
    leaving = []
    for span in spans:
        try:
            leaving.append(_content.current.leaving(span))
        except Exception as error:
            # What cannot be judged leaves without its words.
            tell_once(
                "content", "content could not be looked through and was dropped: %s", type(error).__name__
            )
            leaving.append(_content.current.without_content(span))
    yield from _bodies(leaving, resource, packed, now)


def _bodies(
    spans: Sequence[ReadableSpan], resource: Mapping[str, str], packed: bool, now: float
) -> Iterator[Parcel | int]:
    body = _encoded(spans, resource)
    if body is not None and len(body) <= LARGEST:
        yield _parcel(body, len(spans), packed, now)
    elif len(spans) > 1:
        half = len(spans) // 2
        yield from _bodies(spans[:half], resource, packed, now)
        yield from _bodies(spans[half:], resource, packed, now)
    elif body is not None:
        tell_once("large", "a span of %d bytes is too large; its content was dropped", len(body))
        bare = _encoded([_content.current.without_content(spans[0])], resource)
        yield _parcel(bare, 1, packed, now) if bare and len(bare) <= LARGEST else 1
    else:
        yield 1


def _parcel(body: bytes, spans: int, packed: bool, now: float) -> Parcel:
    return Parcel(gzip.compress(body, 1) if packed else body, spans, now)


def _encoded(spans: Sequence[ReadableSpan], resource: Mapping[str, str]) -> bytes | None:
    try:
        request = encode_spans(spans)
        if resource:
            for group in request.resource_spans:
                _override(group.resource, resource)
        body: bytes = request.SerializeToString()
        return body
    except Exception as error:
        tell_once("encode", "spans could not be written: %r", error)
        return None


def _override(target: Resource, said: Mapping[str, str]) -> None:
    """What was said at `init` wins over the resource of a provider that was there before."""
    kept = [pair for pair in target.attributes if pair.key not in said]
    told = [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in said.items()]
    fresh = Resource(attributes=[*kept, *told])
    target.CopyFrom(fresh)
