"""Several records of one call → one record: fields are chosen, numbers are never added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.request import Context, RequestRecord, Status
from core.settling.inheritance import first_of, named
from core.settling.tree import Key, Tree, key_of
from core.usage import Usage

_SEVERITY: Sequence[Status] = ("ok", "aborted", "error")
# What the outermost record knows best, and what the provider's own SDK does.
_OUTERMOST_FIRST = ("service", "environment", "release", "attempt", "cache", "cache_similarity")
_NATIVE_FIRST = (
    *("response_id", "provider", "request_model", "response_model", "operation", "service_tier", "region"),
    *("server_address", "streaming", "ttft_ns", "retries"),
    *("error_type", "http_status", "finish_reason", "cost_reported_pico"),
)


def merged(group: Sequence[RequestRecord], tree: Tree, inherited: Mapping[Key, Context]) -> RequestRecord:
    """One record for the call: identity and time of the outermost third-party span, so that its trace
    shows the request; numbers of the provider's own SDK where it took part."""
    outermost_first = sorted(
        group, key=lambda r: (r.native, r.started_ns, tree.depth[key_of(r)], r.trace_id, r.span_id)
    )
    native_first = sorted(outermost_first, key=lambda r: not r.native)
    winner = outermost_first[0]
    chosen: dict[str, Any] = {name: _first(outermost_first, name) for name in _OUTERMOST_FIRST}
    chosen |= {name: _first(native_first, name) for name in _NATIVE_FIRST}
    own = [r.context for r in outermost_first]
    context = first_of([*own, *(inherited[key_of(r)] for r in outermost_first)])
    step = next((c.cascade_step for c in own if c.cascade_step is not None), None)
    return replace(
        winner,
        **chosen,
        context=named(replace(context, cascade_step=step)),
        usage=_merged_usage([r.usage for r in native_first]),
        batch=any(r.batch for r in group),
        status=max((r.status for r in group), key=_SEVERITY.index),
    )


def _first(records: Sequence[RequestRecord], name: str) -> Any:
    return next((value for r in records if (value := getattr(r, name)) is not None), None)


def _merged_usage(usages: Sequence[Usage]) -> Usage:
    """Each side whole from one record, since classes of two records need not fit together.

    The first record that knows a total decides it; among those that agree, the finest split is taken.
    """
    if len(usages) == 1:
        return usages[0]
    told = next((u for u in usages if u.input_tokens is not None), usages[0])
    input_ = max((u for u in usages if u.input_tokens == told.input_tokens), key=_input_detail)
    told = next((u for u in usages if u.output_tokens is not None), usages[0])
    output = max((u for u in usages if u.output_tokens == told.output_tokens), key=_output_detail)
    return replace(
        input_,
        visible_output=output.visible_output,
        reasoning=output.reasoning,
        raw={name: number for usage in reversed(usages) for name, number in usage.raw.items()},
    )


def _input_detail(usage: Usage) -> int:
    classes = (usage.cache_read, usage.cache_write_5m, usage.cache_write_1h)
    return sum(tokens is not None for tokens in classes)


def _output_detail(usage: Usage) -> int:
    return int(usage.reasoning is not None)
