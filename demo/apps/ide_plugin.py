"""A code assistant, all asynchronous: completion while one types, and review of a change by an agent with a tool."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai

import tripoint
from demo.apps.customer import Customer

_READ_FILE = {
    "name": "read_file",
    "description": "Read a file of the repository.",
    "schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
}


class IdePlugin:
    """Completes and reviews code; `own` is the company's own model behind an OpenAI-compatible server."""

    def __init__(
        self, gpt: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, own: openai.AsyncOpenAI
    ) -> None:
        self._gpt, self._claude, self._own = gpt, claude, own

    async def complete(self, customer: Customer, code: str) -> str:
        """What might come next: one tenant is served by the company's own model, the others by their plan's tier."""
        if customer.tenant == "tenant-07":
            return await self._complete(customer, code, "lightweight", self._own, "acme-llama-70b")
        if customer.plan == "enterprise":
            return await self._complete(customer, code, "standard", self._gpt, "gpt-4.1")
        return await self._complete(customer, code, "lightweight", self._gpt, "gpt-4o-mini")

    async def _complete(
        self, customer: Customer, code: str, tier: str, client: openai.AsyncOpenAI, model: str
    ) -> str:
        with customer.using("code-completion"), tripoint.route(tier, router="plan", version="1"):
            stream = await client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": code}],
                stream=True,
                stream_options={"include_usage": True},
            )
            parts = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        return "".join(parts)

    async def review(self, customer: Customer, change: str) -> str:
        """Remarks on a change, by an agent that may read files before it answers."""
        premium = customer.plan == "enterprise"
        tier, model = ("premium", "claude-opus-4-1") if premium else ("standard", "claude-sonnet-4-5")
        messages: list[Any] = [{"role": "user", "content": change}]
        tool: Any = {
            "name": _READ_FILE["name"],
            "description": _READ_FILE["description"],
            "input_schema": _READ_FILE["schema"],
        }
        with customer.using("code-review"), tripoint.route(tier, router="plan", version="1"):
            while True:
                answer = await self._claude.messages.create(
                    model=model, max_tokens=2048, messages=messages, tools=[tool]
                )
                calls = [block for block in answer.content if block.type == "tool_use"]
                if not calls:
                    return "".join(block.text for block in answer.content if block.type == "text")
                results = [
                    {"type": "tool_result", "tool_use_id": call.id, "content": _read(call.input)}
                    for call in calls
                ]
                messages += [
                    {"role": "assistant", "content": answer.content},
                    {"role": "user", "content": results},
                ]


def _read(arguments: object) -> str:
    return f"# the file that {json.dumps(arguments)} names"
