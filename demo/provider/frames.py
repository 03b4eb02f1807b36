"""One server-sent event of an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Frame:
    """The bytes of one event; `output` says that it carries a part of the answer (not a prelude or an end)."""

    body: bytes
    output: bool = False


def frame(data: Any, event: str | None = None, output: bool = False) -> Frame:
    """The event as it goes over the wire."""
    head = f"event: {event}\n" if event else ""
    return Frame(f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode(), output)


DONE = Frame(b"data: [DONE]\n\n")
