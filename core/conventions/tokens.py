"""Raw token counts → exclusive classes."""

from __future__ import annotations

from collections.abc import Mapping

from core.usage import UNKNOWN, Reading, Usage


def exclusive_usage(
    counts: Mapping[str, int], raw: Mapping[str, int], known_reading: Reading | None = None
) -> Usage:
    """The counts as classes that do not overlap; what the wire did not tell stays unknown.

    `counts` are keyed input, output, total, cache_read, cache_write, cache_write_5m, cache_write_1h and
    reasoning; `known_reading` is what is known about the sender. No class is ever negative.
    """
    if not counts:
        return Usage(raw=dict(raw)) if raw else UNKNOWN
    write_5m, write_1h = _writes(counts)
    cached = counts.get("cache_read", 0) + (write_5m or 0) + (write_1h or 0)
    total_input = counts.get("input")
    reading = None
    if total_input is not None:
        reading = _reading(counts, total_input, cached, known_reading)
        # an exclusive number already is what the cache did not serve
        total_input = total_input if reading == "exclusive" else total_input - cached
    return Usage(
        uncached_input=total_input,
        cache_read=counts.get("cache_read"),
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        visible_output=_visible(counts),
        reasoning=counts.get("reasoning"),
        reading=reading,
        raw=dict(raw),
    )


def _reading(counts: Mapping[str, int], input_: int, cached: int, known: Reading | None) -> Reading:
    if cached > input_:
        return "exclusive"  # proof, whatever is known about the sender
    if known is not None:
        return known
    total, output = counts.get("total"), counts.get("output")
    if cached and total is not None and output is not None:
        if total == input_ + output:
            return "inclusive"
        if total == input_ + output + cached:
            return "exclusive"
    return "assumed"


def _writes(counts: Mapping[str, int]) -> tuple[int | None, int | None]:
    """Cache writes of five minutes, or of a lifetime that nobody told, and of one hour."""
    written, hour = counts.get("cache_write"), counts.get("cache_write_1h")
    if written is None:
        return counts.get("cache_write_5m"), hour
    if hour is None:
        return written, None
    return max(written - hour, 0), hour


def _visible(counts: Mapping[str, int]) -> int | None:
    output, reasoning = counts.get("output"), counts.get("reasoning", 0)
    if output is None or reasoning > output:
        return output  # a reasoning part that is larger than the whole was never inside it
    return output - reasoning
