"""A nightly batch: one summary of the week for each subscriber."""

from __future__ import annotations

import openai

import tripoint
from demo.apps.customer import Customer


class Summariser:
    """Writes summaries with OpenAI's Responses."""

    def __init__(self, gpt: openai.OpenAI) -> None:
        self._gpt = gpt

    @tripoint.route("lightweight", router="fixed", version="1")
    def summarise(self, customer: Customer, tickets: str) -> str:
        """The week in a few sentences."""
        with customer.using("weekly-summary"):
            return self._gpt.responses.create(
                model="gpt-4.1-mini", instructions="Summarise this week's tickets.", input=tickets
            ).output_text
