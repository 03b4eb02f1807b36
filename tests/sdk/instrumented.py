"""An application that calls a provider in every way there is, each under a feature of its own.

Usage: instrumented.py CLIENT PREFER PROVIDER_URL TRIPOINT_URL KEY. Prints the instrumentation in use.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import warnings
from typing import Any

import anthropic
import openai

import tripoint

warnings.simplefilter("ignore", DeprecationWarning)
CLIENT, PREFER, PROVIDER, TRIPOINT, KEY = sys.argv[1:]
MESSAGES: Any = [{"role": "user", "content": "Where is my parcel?"}]
SCHEMA: Any = {"type": "object", "properties": {"number": {"type": "integer"}}}


def asked(case: str, **more: object) -> dict[str, str]:
    tokens = {"input_tokens": 2000, "cache_read_tokens": 1024, "output_tokens": 40}
    times = {"ttft_ms": 150, "total_ms": 260, "retry_after_s": 0.05}
    return {"x-simulate": json.dumps({"id": f"{CLIENT}-{PREFER}-{case}", **tokens, **times, **more})}


def under(case: str) -> Any:
    return tripoint.context(feature=case, user="u-1", tier="premium")


def gpt(case: str, **more: object) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": MESSAGES, "extra_headers": asked(case, **more)}


def response(case: str) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "input": "Where?", "extra_headers": asked(case)}


def streaming(case: str, **more: object) -> dict[str, Any]:
    return {**gpt(case, **more), "stream": True, "stream_options": {"include_usage": True}}


def openai_sync() -> None:
    client = openai.OpenAI(base_url=f"{PROVIDER}/v1", api_key="sk-any")
    tools: Any = [{"type": "function", "function": {"name": "find", "parameters": SCHEMA}}]
    with under("plain"):
        client.chat.completions.create(**gpt("plain"))
    with under("stream"):
        list(client.chat.completions.create(**streaming("stream")))
    with under("tools"):
        list(client.chat.completions.create(**streaming("tools"), tools=tools))
    with (
        under("stream-helper"),
        client.chat.completions.stream(
            **gpt("stream-helper"), stream_options={"include_usage": True}
        ) as helper,
    ):
        helper.get_final_completion()
    with under("raw-stream"):
        list(client.chat.completions.with_raw_response.create(**streaming("raw-stream")).parse())
    with under("left"), client.chat.completions.create(**streaming("left")) as left:
        for chunk in left:
            if chunk.choices[0].delta.content:
                break
    with under("retry"):
        client.chat.completions.create(**gpt("retry", fail=[429]))
    with under("error"), contextlib.suppress(openai.BadRequestError):
        client.chat.completions.create(**gpt("error", fail=[400]))
    with under("responses"):
        client.responses.create(**response("responses"))
    with under("responses-stream"):
        list(client.responses.create(**response("responses-stream"), stream=True))
    with under("responses-helper"), client.responses.stream(**response("responses-helper")) as events:
        events.get_final_response()
    with under("embeddings"):
        client.embeddings.create(
            model="text-embedding-3-small", input="x", extra_headers=asked("embeddings", input_tokens=7)
        )


async def openai_async() -> None:
    async with openai.AsyncOpenAI(base_url=f"{PROVIDER}/v1", api_key="sk-any") as client:

        async def plain() -> None:
            with under("async"):
                await client.chat.completions.create(**gpt("async"))

        async def stream() -> None:
            with under("async-stream"):
                async for _ in await client.chat.completions.create(**streaming("async-stream")):
                    pass

        async def responses() -> None:
            with under("async-responses"):
                async for _ in await client.responses.create(**response("async-responses"), stream=True):
                    pass

        # At once, so that the spans of one task must not be taken for those of another.
        await asyncio.gather(plain(), stream(), responses())


def claude(case: str, **more: object) -> dict[str, Any]:
    return {
        "model": "claude-haiku-4-5",
        "max_tokens": 99,
        "messages": MESSAGES,
        "extra_headers": asked(case, **more),
    }


def anthropic_sync() -> None:
    client = anthropic.Anthropic(base_url=PROVIDER, api_key="sk-any")
    tools: Any = [{"name": "find", "input_schema": SCHEMA}]
    with under("plain"):
        client.messages.create(**claude("plain"))
    with under("stream"):
        list(client.messages.create(**claude("stream"), stream=True))
    with under("tools"):
        list(client.messages.create(**claude("tools"), tools=tools, stream=True))
    with under("stream-helper"), client.messages.stream(**claude("stream-helper")) as helper:
        helper.get_final_message()
    with under("left"), client.messages.create(**claude("left"), stream=True) as left:
        for event in left:
            if event.type == "content_block_delta":
                break
    with under("retry"):
        client.messages.create(**claude("retry", fail=[429]))
    with under("error"), contextlib.suppress(anthropic.BadRequestError):
        client.messages.create(**claude("error", fail=[400]))


async def anthropic_async() -> None:
    async with anthropic.AsyncAnthropic(base_url=PROVIDER, api_key="sk-any") as client:

        async def plain() -> None:
            with under("async"):
                await client.messages.create(**claude("async"))

        async def stream() -> None:
            with under("async-stream"):
                async for _ in await client.messages.create(**claude("async-stream"), stream=True):
                    pass

        async def helper() -> None:
            with under("async-helper"):
                async with client.messages.stream(**claude("async-helper")) as events:
                    await events.get_final_message()

        await asyncio.gather(plain(), stream(), helper())


def main() -> None:
    tripoint.init(endpoint=TRIPOINT, key=KEY, service="instrumented")
    instrument: Any = tripoint.instrument_openai if CLIENT == "openai" else tripoint.instrument_anthropic
    print(instrument(prefer=PREFER))
    assert instrument() == instrument()
    if CLIENT == "openai":
        openai_sync()
        asyncio.run(openai_async())
    else:
        anthropic_sync()
        asyncio.run(anthropic_async())
    assert tripoint.shutdown(10)


if __name__ == "__main__":
    main()
