"""The simulated judge: it grades the demo's own answers by a rule, so that there is something to find. It reads nothing
as a model would, and is worth nothing anywhere else.

Two models, asked over the wire of chat completions with a schema named `verdict`:

- `simulated-judge` never changes. It is kinder than people are: a planted evasive answer gets a level too many.
- `simulated-judge-2` becomes stricter by a level for good as soon as it has seen an answer from the eleventh day on:
  the way a provider changes a model behind its name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from demo.workload import CASE, EVASIVE

STEADY, CHANGING = "simulated-judge", "simulated-judge-2"
CHANGES_FROM_DAY = 10  # counted from 0
_ANSWER = re.compile(r"⟦BEGIN answer (\w+)⟧\n(.*?)\n⟦END answer \1⟧", re.DOTALL)
# How often each level, 1 the worst, is given to a good answer and to an evasive one.
_GOOD = ((5, 0.66), (4, 0.26), (3, 0.08))
_POOR = ((3, 0.45), (2, 0.4), (1, 0.15))


class SimulatedJudge:
    """Both models; remembers what the second has seen."""

    def __init__(self) -> None:
        self._strict = False

    def verdict(self, body: Mapping[str, Any]) -> str | None:
        """The reply to a judge's prompt, None where this is none of them."""
        asked = _schema(body)
        if body.get("model") not in (STEADY, CHANGING) or asked is None:
            return None
        found = _ANSWER.search(str(body["messages"][-1].get("content")))
        answer = found[2] if found else ""
        case = CASE.search(answer)
        if body["model"] == CHANGING and case and int(case[1]) >= CHANGES_FROM_DAY:
            self._strict = True
        said = {name: self._said(str(body["model"]), name, answer, levels) for name, levels in asked.items()}
        return json.dumps({"dimensions": said, "confidence": 85})

    def _said(self, model: str, dimension: str, answer: str, levels: int) -> dict[str, Any]:
        drawn = int(hashlib.sha256(f"{model}/{dimension}/{answer}".encode()).hexdigest()[:8], 16) / 2**32
        # Evading keeps to the instructions: only the other dimensions mind.
        poor = EVASIVE in answer and dimension != "instructions"
        level = _drawn(_POOR if poor else _GOOD, drawn)
        if model == CHANGING and self._strict:
            level = max(1, level - 1)
        reason = "It sends the customer elsewhere." if poor else "It deals with what was asked."
        return {"reason": f"{reason} (simulated)", "level": max(1, round(level * levels / 5))}


def _drawn(table: tuple[tuple[int, float], ...], number: float) -> int:
    for level, share in table:
        number -= share
        if number < 0:
            return level
    return table[-1][0]


def _schema(body: Mapping[str, Any]) -> dict[str, int] | None:
    """Dimension → number of its levels, as the request's schema has them."""
    try:
        wanted = body["response_format"]["json_schema"]
        dimensions = wanted["schema"]["properties"]["dimensions"]["properties"]
        found = {name: len(of["properties"]["level"]["enum"]) for name, of in dimensions.items()}
    except (KeyError, TypeError, AttributeError):
        return None
    return found if wanted.get("name") == "verdict" else None
