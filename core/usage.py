"""Token usage as exclusive classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# How the provider's input number was understood: it included the cache classes, it excluded them,
# or nothing on the wire told and inclusion was assumed.
Reading = Literal["inclusive", "exclusive", "assumed"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request. The classes do not overlap and sum to the totals; `None` is unknown, never zero.

    `cache_write_5m` also holds cache writes whose lifetime the wire did not tell.
    `visible_output` is the whole output where the wire did not tell the reasoning part.
    `raw` keeps the provider's numbers under the attribute names they came in.
    """

    uncached_input: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    visible_output: int | None = None
    reasoning: int | None = None
    reading: Reading | None = None
    raw: Mapping[str, int] = field(default_factory=dict)

    @property
    def input_tokens(self) -> int | None:
        """All input tokens, cached ones included."""
        if self.uncached_input is None:
            return None
        return self.uncached_input + (self.cache_read or 0) + (self.cache_write or 0)

    @property
    def cache_write(self) -> int | None:
        """Tokens written to the provider's cache, of either lifetime."""
        if self.cache_write_5m is None and self.cache_write_1h is None:
            return None
        return (self.cache_write_5m or 0) + (self.cache_write_1h or 0)

    @property
    def output_tokens(self) -> int | None:
        """All output tokens, reasoning included."""
        if self.visible_output is None:
            return None
        return self.visible_output + (self.reasoning or 0)

    @property
    def known(self) -> bool:
        """True where the wire carried at least one token count."""
        return self.uncached_input is not None or self.visible_output is not None


UNKNOWN = Usage()
