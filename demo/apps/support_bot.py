"""A support bot with a cascade: the cheapest tier answers first and says how sure it is; where it is not sure enough,
the next tier answers instead."""

from __future__ import annotations

import re
from uuid import uuid4

import anthropic
import openai

import tripoint
from demo.apps.customer import Customer

TIERS = ("lightweight", "standard", "premium")
SURE_ENOUGH = 0.6
_INSTRUCTION = "Answer the customer. End with a line `confidence: ` and a number from 0 to 1."
_CONFIDENCE = re.compile(r"confidence: ([01](?:\.\d+)?)")
_GPT = {"lightweight": "gpt-4o-mini", "standard": "gpt-4.1", "premium": "o3"}
_CLAUDE = {"lightweight": "claude-haiku-4-5", "standard": "claude-sonnet-4-5", "premium": "claude-opus-4-1"}


class SupportBot:
    """Answers customers, each through the vendor that their contract names."""

    def __init__(self, gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
        self._gpt, self._claude = gpt, claude

    def answer(self, customer: Customer, question: str) -> str:
        """The answer of the cheapest tier that is sure enough, or the dearest tier's."""
        conversation, below, score = str(uuid4()), None, None
        with customer.using("support-chat"):
            for step, tier in enumerate(TIERS):
                reason = "cheapest first" if below is None else f"{below} was not sure enough"
                with tripoint.route(
                    tier,
                    router="confidence-cascade",
                    version="3",
                    score=score,
                    reason=reason,
                    cascade=conversation,
                    step=step,
                    escalated_from=below,
                ):
                    text = self._ask(customer, tier, question)
                found = _CONFIDENCE.search(text)
                score = float(found[1]) if found else 1.0
                if score >= SURE_ENOUGH:
                    break
                below = tier
        return _CONFIDENCE.sub("", text).strip()

    def _ask(self, customer: Customer, tier: str, question: str) -> str:
        if hash_of(customer.tenant) % 2:
            return self._ask_claude(_CLAUDE[tier], question)
        return self._ask_gpt(_GPT[tier], question)

    def _ask_gpt(self, model: str, question: str) -> str:
        stream = self._gpt.chat.completions.create(
            model=model,
            messages=[{"role": "system", "content": _INSTRUCTION}, {"role": "user", "content": question}],
            stream=True,
            stream_options={"include_usage": True},
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    def _ask_claude(self, model: str, question: str) -> str:
        with self._claude.messages.stream(
            model=model,
            max_tokens=1024,
            system=_INSTRUCTION,
            messages=[{"role": "user", "content": question}],
        ) as stream:
            return "".join(stream.text_stream)


def hash_of(name: str) -> int:
    """The same number for the same name in every process."""
    return sum(name.encode())
