"""What a caller may ask of the simulated provider in the header `x-simulate`, and what it does unasked."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

HEADER = "x-simulate"
_PER_TOKEN_MS = 5.0
_TTFT_MS = 150.0


class BehaviourError(ValueError):
    """The header `x-simulate` cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one request asks for; None leaves it to the rule (docs/simulated-provider.md).

    Times are milliseconds from the request's arrival. `fail` holds one HTTP status for each attempt that is to
    fail; the attempt after the last one succeeds. `wait` overrides the provider's: 1 waits for real, 0 does not.
    """

    id: str | None = None
    answer: str | None = None
    tool: str | None = None
    input_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int | None = None
    reasoning_tokens: int = 0
    ttft_ms: float | None = None
    total_ms: float | None = None
    chunks: int = 8
    fail: tuple[int, ...] = ()
    retry_after_s: float = 1.0
    break_stream: bool = False
    wait: float | None = None

    def times_ms(self, output_tokens: int) -> tuple[float, float]:
        """First output and end; the end is never before the first output."""
        ttft = _TTFT_MS if self.ttft_ms is None else self.ttft_ms
        total = ttft + _PER_TOKEN_MS * output_tokens if self.total_ms is None else self.total_ms
        return ttft, max(ttft, total)


_KNOWN = {field.name for field in fields(Behaviour)}
_TEXTS = {"id", "answer", "tool"}


def read_behaviour(header: str | None) -> Behaviour:
    """The behaviour that the header asks for; raises BehaviourError for anything that is not understood."""
    if not header:
        return Behaviour()
    try:
        asked = json.loads(header)
    except ValueError:
        raise BehaviourError(f"The header {HEADER} is not JSON.") from None
    if not isinstance(asked, dict) or asked.keys() - _KNOWN:
        raise BehaviourError(
            f"The header {HEADER} takes a JSON object with any of: {', '.join(sorted(_KNOWN))}."
        )
    for name, value in asked.items():
        if not _fits(name, value):
            raise BehaviourError(f"{HEADER}: {name} cannot be {json.dumps(value)}.")
    return Behaviour(**(asked | {"fail": tuple(asked.get("fail", ()))}))


def _fits(name: str, value: Any) -> bool:
    if name == "fail":
        return isinstance(value, list) and all(isinstance(s, int) and 400 <= s <= 599 for s in value)
    if name in _TEXTS:
        return isinstance(value, str)
    if name == "break_stream":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        return False
    return name.endswith(("_ms", "_s")) or name == "wait" or isinstance(value, int)
