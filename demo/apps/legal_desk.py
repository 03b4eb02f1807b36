"""A legal desk: contracts go to the premium tier; where one vendor fails, the other answers."""

from __future__ import annotations

import anthropic
import openai

import tripoint
from demo.apps.customer import Customer


class LegalDesk:
    """Reads contracts with Claude, and with o3 where Claude is not to be had."""

    def __init__(self, gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
        self._gpt, self._claude = gpt, claude

    def analyse(self, customer: Customer, contract: str) -> str:
        """What the contract says about liability."""
        with customer.using("contract-analysis"):
            try:
                with tripoint.route("premium", router="vendor-fallback", version="2"):
                    return self._ask_claude(contract)
            except anthropic.APIStatusError:
                with tripoint.route(
                    "premium", router="vendor-fallback", version="2", fallback_from="anthropic"
                ):
                    return self._ask_o3(contract)

    def _ask_claude(self, contract: str) -> str:
        with self._claude.messages.stream(
            model="claude-opus-4-1", max_tokens=2048, messages=[{"role": "user", "content": contract}]
        ) as stream:
            return stream.get_final_text()

    def _ask_o3(self, contract: str) -> str:
        return self._gpt.responses.create(model="o3", input=contract).output_text
