"""A judge's server that answers with what GPT-4 once said of real summaries, and misbehaves as servers do.

    python -m benchmarks.recorded_judge PORT SCORES.json

SCORES.json holds [level 1 to 5, input tokens, output tokens] a question; a prompt names its own as `item-17`. Of a
hundred calls 5 fail (an error, a broken connection, or a wait that is too long) and 2 bring garbage; now and then it
refuses everything for a moment with 429. `GET /` counts what it answered.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn

_ITEM = re.compile(rb"item-(\d+)")
_GARBAGE = (
    "",
    "I would give it a 4.",
    '{"dimensions": {',
    '{"dimensions": {"coherence": {"level": 9}}}',
    "[]",
)
_BURST_EVERY, _BURST_S = 2500, 0.5


class RecordedJudge:
    """The ASGI application."""

    def __init__(self, scores: list[list[int]], seed: int = 3) -> None:
        self._scores = scores
        self._chance = random.Random(seed)
        self._calls = 0
        self._refuses_until = 0.0
        self.counts = {"answered": 0, "failed": 0, "garbage": 0, "refused": 0}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """One call."""
        if scope["type"] != "http":
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["method"] == "GET":
            await _reply(send, 200, self.counts)
            return
        self._calls += 1
        if self._calls % _BURST_EVERY == 0:
            self._refuses_until = time.monotonic() + _BURST_S
        if time.monotonic() < self._refuses_until:
            self.counts["refused"] += 1
            await _reply(send, 429, {"error": {"message": "slow down"}}, [(b"retry-after", b"1")])
            return
        await self._answer(bytes(body), send)

    async def _answer(self, body: bytes, send: Any) -> None:
        drawn = self._chance.random()
        if drawn < 0.05:
            self.counts["failed"] += 1
            if drawn < 0.002:
                await asyncio.sleep(4)
            await _reply(send, 500 if drawn < 0.03 else 503, {"error": {"message": "overloaded"}})
            return
        found = _ITEM.search(body)
        level, asked, answered = self._scores[int(found[1]) % len(self._scores)] if found else [3, 500, 40]
        if garbage := drawn < 0.07:
            text = self._chance.choice(_GARBAGE)
        else:
            said = {"coherence": {"reason": "recorded", "level": level}}
            text = json.dumps({"dimensions": said, "confidence": 90})
        self.counts["garbage" if garbage else "answered"] += 1
        await _reply(
            send,
            200,
            {
                "id": f"chatcmpl-{self._calls}",
                "model": "gpt-4-0314",
                "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": asked, "completion_tokens": answered},
            },
        )


async def _reply(
    send: Any, status: int, value: Any, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    body = json.dumps(value).encode()
    known = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": known + (headers or [])})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(
        RecordedJudge(json.loads(Path(sys.argv[2]).read_text())),
        port=int(sys.argv[1]),
        log_level="warning",
        lifespan="off",
    )
