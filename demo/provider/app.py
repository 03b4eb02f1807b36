"""The simulated provider as an ASGI application."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from demo.provider import anthropic_wire, openai_wire
from demo.provider.answer import Answer, Asked, Tokens, answer_to
from demo.provider.behaviour import HEADER, Behaviour, BehaviourError, read_behaviour
from demo.provider.frames import Frame
from demo.provider.judge import SimulatedJudge

SIMULATED = {"x-simulated-provider": "tripoint"}
_REMEMBERED = 20_000
_FAILURE_MS = 60.0


@dataclass(slots=True)
class Served:
    """The provider's own record of one attempt; seconds from its arrival, None where it did not come to that."""

    path: str
    status: int
    attempt: int
    model: str
    stream: bool = False
    response_id: str | None = None
    tokens: Tokens | None = None
    first_output_s: float | None = None
    ended_s: float | None = None
    header_names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wire:
    """How one address reads a request and writes an answer."""

    read: Callable[[Mapping[str, Any]], Asked]
    whole: Callable[[Answer, Mapping[str, Any]], dict[str, Any]]
    frames: Callable[[Answer, Mapping[str, Any], int], Iterator[Frame]]
    error: Callable[[int, str | None], dict[str, Any]]
    error_frame: Callable[[], Frame]
    id_prefix: str


_OPENAI_ERROR = Frame(
    b'data: {"error":{"message":"The server had an error (simulated).","type":"server_error"}}\n\n'
)
WIRES = {
    "/v1/chat/completions": Wire(
        openai_wire.read_chat,
        lambda answer, body: openai_wire.chat(answer),
        openai_wire.chat_frames,
        openai_wire.error,
        lambda: _OPENAI_ERROR,
        "chatcmpl-",
    ),
    "/v1/responses": Wire(
        openai_wire.read_responses,
        openai_wire.responses,
        openai_wire.responses_frames,
        openai_wire.error,
        openai_wire.responses_error_frame,
        "resp_",
    ),
    "/v1/messages": Wire(
        anthropic_wire.read_messages,
        lambda answer, body: anthropic_wire.messages(answer),
        lambda answer, body, chunks: anthropic_wire.messages_frames(answer, chunks),
        anthropic_wire.error,
        anthropic_wire.error_frame,
        "msg_",
    ),
}


class Simulator:
    """Answers requests; `log` holds its record of the last of them.

    `wait` scales every time: 1 waits as a provider would, 0 answers at once.
    """

    def __init__(self, wait: float = 1.0) -> None:
        self.wait = wait
        self.log: deque[Served] = deque(maxlen=_REMEMBERED)
        self._turns = itertools.count()
        self._judge = SimulatedJudge()

    async def answer(self, request: Request) -> Response:
        """A request to one of the three wires that carry on a conversation."""
        arrived = time.perf_counter()
        wire = WIRES[request.url.path]
        turn = next(self._turns)
        names = frozenset(request.headers.keys())
        served = Served(request.url.path, 200, _attempt(request), "", header_names=names)
        self.log.append(served)
        try:
            behaviour = read_behaviour(request.headers.get(HEADER))
            body = orjson.loads(await request.body())
            asked = wire.read(body)
        except (BehaviourError, ValueError, KeyError, TypeError, AttributeError) as error:
            told = str(error) if isinstance(error, BehaviourError) else None
            return self._refusal(wire.error, served, 400, turn, Behaviour(), told)
        served.model, served.stream = asked.model, bool(body.get("stream"))
        if (verdict := self._judge.verdict(body)) is not None:
            behaviour = replace(behaviour, answer=verdict)
        elif not _has_key(request):
            return self._refusal(wire.error, served, 401, turn, behaviour)
        wait = self.wait if behaviour.wait is None else behaviour.wait
        if served.attempt < len(behaviour.fail):
            await asyncio.sleep(wait * _FAILURE_MS / 1000)
            return self._refusal(wire.error, served, behaviour.fail[served.attempt], turn, behaviour)
        answer = answer_to(asked, behaviour, turn)
        served.response_id, served.tokens = wire.id_prefix + answer.key, answer.tokens
        ttft_ms, total_ms = behaviour.times_ms(answer.tokens.output)
        headers = _headers(turn) | {
            "x-simulated-ttft-ms": f"{ttft_ms:.3f}",
            "x-simulated-total-ms": f"{total_ms:.3f}",
        }
        if not served.stream:
            await asyncio.sleep(_left(arrived, wait * total_ms))
            served.ended_s = time.perf_counter() - arrived
            return Response(
                orjson.dumps(wire.whole(answer, body)), headers=headers, media_type="application/json"
            )
        frames = list(wire.frames(answer, body, behaviour.chunks))
        if behaviour.break_stream:
            outputs = [at for at, frame in enumerate(frames) if frame.output]
            frames = [*frames[: outputs[len(outputs) // 2]], wire.error_frame()]
        if not wait:
            return Response(b"".join(f.body for f in frames), headers=headers, media_type="text/event-stream")
        paced = _paced(frames, served, arrived, wait * ttft_ms, wait * total_ms)
        return StreamingResponse(paced, headers=headers, media_type="text/event-stream")

    async def embed(self, request: Request) -> Response:
        """A request for embeddings."""
        served = Served(request.url.path, 200, _attempt(request), "")
        self.log.append(served)
        turn = next(self._turns)
        try:
            behaviour = read_behaviour(request.headers.get(HEADER))
            body = orjson.loads(await request.body())
            found = openai_wire.embeddings(body, behaviour.input_tokens)
        except (BehaviourError, ValueError, KeyError, TypeError) as error:
            told = str(error) if isinstance(error, BehaviourError) else None
            return self._refusal(openai_wire.error, served, 400, turn, Behaviour(), told)
        served.model = body["model"]
        served.tokens = Tokens(found["usage"]["prompt_tokens"], 0, 0, 0, 0)
        return Response(orjson.dumps(found), headers=_headers(turn), media_type="application/json")

    async def unknown(self, request: Request) -> Response:
        """Any other address."""
        wire = anthropic_wire if "anthropic-version" in request.headers else openai_wire
        served = Served(request.url.path, 404, _attempt(request), "")
        self.log.append(served)
        return self._refusal(wire.error, served, 404, next(self._turns), Behaviour())

    def _refusal(
        self,
        body: Callable[[int, str | None], dict[str, Any]],
        served: Served,
        status: int,
        turn: int,
        behaviour: Behaviour,
        message: str | None = None,
    ) -> Response:
        served.status = status
        headers = _headers(turn) | {"x-simulated-total-ms": f"{_FAILURE_MS:.3f}"}
        if status in (429, 503, 529):
            headers["retry-after"] = f"{behaviour.retry_after_s:g}"
            # Both clients prefer this one where they have it; a provider that does not wait lets nobody wait.
            wait = self.wait if behaviour.wait is None else behaviour.wait
            headers["retry-after-ms"] = f"{max(1.0, 1000 * wait * behaviour.retry_after_s):g}"
        elif status >= 500 and not self.wait:
            headers["retry-after-ms"] = "1"
        return Response(orjson.dumps(body(status, message)), status, headers, "application/json")


def create_provider(wait: float = 1.0) -> Starlette:
    """The application; its record of what it served is `app.state.simulator.log`."""
    simulator = Simulator(wait)
    app = Starlette(
        routes=[
            *(Route(path, simulator.answer, methods=["POST"]) for path in WIRES),
            Route("/v1/embeddings", simulator.embed, methods=["POST"]),
            Route("/{path:path}", simulator.unknown, methods=["GET", "POST", "DELETE"]),
        ]
    )
    app.state.simulator = simulator
    return app


async def _paced(
    frames: Sequence[Frame], served: Served, arrived: float, ttft_ms: float, total_ms: float
) -> AsyncIterator[bytes]:
    """Preludes at once, the first output after `ttft_ms`, the others evenly up to `total_ms`."""
    outputs = max(2, sum(frame.output for frame in frames))
    sent = 0
    for frame in frames:
        if frame.output:
            await asyncio.sleep(_left(arrived, ttft_ms + (total_ms - ttft_ms) * sent / (outputs - 1)))
            sent += 1
        if frame.output and served.first_output_s is None:
            served.first_output_s = time.perf_counter() - arrived
        yield frame.body
    served.ended_s = time.perf_counter() - arrived


def _left(arrived: float, after_ms: float) -> float:
    return max(0.0, arrived + after_ms / 1000 - time.perf_counter())


def _attempt(request: Request) -> int:
    """Both clients number their retries."""
    told = request.headers.get("x-stainless-retry-count", "0")
    return int(told) if told.isdigit() else 0


def _has_key(request: Request) -> bool:
    """Any key will do but one that says that it will not."""
    told = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix(
        "Bearer "
    )
    return bool(told) and not told.startswith("wrong")


def _headers(turn: int) -> dict[str, str]:
    name = f"req_simulated_{turn:08x}"
    return {**SIMULATED, "x-request-id": name, "request-id": name}


__all__ = ["Served", "Simulator", "create_provider"]
