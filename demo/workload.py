"""Who asks the made-up company's applications what, and when: a pure function of a seed and a day.

Token counts are log-normal, fitted by the mean and standard deviation of the logarithm to the two traces of
the Azure LLM inference dataset 2023 (AzurePublicDataset, CC BY 4.0; Patel et al., "Splitwise", ISCA 2024):
conversation 19,366 requests, input mu 6.633 sigma 0.985, output mu 5.019 sigma 0.859; code 8,819 requests,
input mu 6.999 sigma 1.360, output mu 2.788 sigma 0.847; cut at the traces' maxima. Arrivals are a Poisson
process whose rate follows the hour and the weekday; users are zipf-distributed. Speeds, error rates, cache
shares and confidences are assumptions, chosen to look like a normal week.

Three things in it are planted, so that there is something to find, and are not from any trace:

- From the tenth day on, release 2026.11 of the code assistant sends twice the input with every review: a review
  becomes about twice as dear.
- On the twelfth day Claude's premium model takes four times as long to its first token.
- From the ninth day on the lightweight tier of the support bot evades six questions of ten.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from demo.apps.customer import Customer

DAYS = 14
USERS = 500
DEAR_FROM_DAY = 9  # counted from 0
SLOW_ON_DAY = 11
EVASIVE_FROM_DAY = 8
EVASIVE = "Please look it up on our help pages."
CASE = re.compile(r"Case (\d+)-\d+")
"""What the support bot ends its answers with: the number of the day, and one of the visit."""
RELEASES = ("2026.10", "2026.11")
_SLOW_MODEL = "claude-opus-4-1"
_GROWN = "code-review"
_LIGHTWEIGHT = ("gpt-4o-mini", "claude-haiku-4-5")
_EVADED = 0.6


@dataclass(frozen=True, slots=True)
class Tokens:
    """A log-normal count of tokens, cut at `most`."""

    mu: float
    sigma: float
    most: int

    def draw(self, chance: random.Random) -> int:
        return max(1, min(self.most, round(chance.lognormvariate(self.mu, self.sigma))))


CONVERSATION = (Tokens(6.633, 0.985, 14_050), Tokens(5.019, 0.859, 1_000))
CODE = (Tokens(6.999, 1.360, 7_437), Tokens(2.788, 0.847, 1_899))
SUMMARY = (Tokens(8.300, 0.500, 14_050), Tokens(5.300, 0.400, 1_000))


@dataclass(frozen=True, slots=True)
class Speed:
    """First token after `ttft_s`, then `per_token_s` a token (medians)."""

    ttft_s: float
    per_token_s: float


SPEEDS = {
    "gpt-4o-mini": Speed(0.32, 0.009),
    "gpt-4.1-mini": Speed(0.35, 0.009),
    "claude-haiku-4-5": Speed(0.38, 0.008),
    "gpt-4.1": Speed(0.48, 0.014),
    "claude-sonnet-4-5": Speed(0.75, 0.016),
    "claude-opus-4-1": Speed(1.40, 0.028),
    "o3": Speed(2.60, 0.018),
    # The company's own model, for which nobody publishes a price.
    "acme-llama-70b": Speed(0.22, 0.011),
}


@dataclass(frozen=True, slots=True)
class Feature:
    """A part of the product: how often a day it is used, what it sends, how much of that is cached."""

    name: str
    service: str
    a_day: float
    tokens: tuple[Tokens, Tokens]
    prompt: str
    answer: str
    cached: float = 0.0
    nightly: bool = False


FEATURES = (
    Feature(
        "support-chat",
        "support-bot",
        200,
        CONVERSATION,
        "Where is my order? It was due on Tuesday.",
        "I am sorry for the delay. Your parcel left our depot.",
        cached=0.45,
    ),
    Feature(
        "code-completion",
        "ide-plugin",
        250,
        CODE,
        "def parse_header(line: str) ->",
        " tuple[str, str]:\n    name, _, value = line.partition(':')",
        cached=0.3,
    ),
    Feature(
        "code-review",
        "ide-plugin",
        34,
        CODE,
        "Review this change for mistakes.",
        "The loop reads the file again in every round; move it out.",
        cached=0.2,
    ),
    Feature(
        "weekly-summary",
        "summariser",
        45,
        SUMMARY,
        "14 tickets about late parcels, 3 about the new login.",
        "Most tickets were about late parcels and the new login.",
        nightly=True,
    ),
    Feature(
        "contract-analysis",
        "legal-desk",
        12,
        SUMMARY,
        "Which clauses limit liability?",
        "Clauses 9.2 and 11.4 cap liability at the yearly fee.",
        cached=0.1,
    ),
)
SERVICES = tuple(dict.fromkeys(feature.service for feature in FEATURES))
PLANS = {"free": 0.62, "pro": 0.3, "enterprise": 0.08}
_RETRIED, _REFUSED = 0.012, 0.003  # shares of calls that are refused once, and until the client gives up
_UNSURE = (0.14, 0.35)  # how often the lightweight and the standard tier are not sure of their answer


@dataclass(frozen=True, slots=True)
class Visit:
    """What a user did once; `seed` decides everything that follows from it."""

    seed: str
    day: int
    feature: Feature
    customer: Customer
    started: datetime
    input_tokens: int
    output_tokens: int

    @property
    def release(self) -> str:
        """The release of the application that served it."""
        return RELEASES[self.feature.service == "ide-plugin" and self.day >= DEAR_FROM_DAY]

    def behaviour(self, turn: int, model: str) -> dict[str, Any]:
        """What the provider does at the visit's call number `turn`: the header `x-simulate`."""
        chance = random.Random(f"{self.seed}/{turn}")
        grown = self.feature.name == _GROWN and self.day >= DEAR_FROM_DAY
        # Each turn of an agent sends what came before once more.
        asked = round(self.input_tokens * (1 + 0.3 * turn) * (2 if grown else 1))
        reasoning = round(self.output_tokens * chance.uniform(0.5, 4)) if model == "o3" else 0
        answered = self.output_tokens + reasoning
        speed = SPEEDS[model]
        slow = 4 if model == _SLOW_MODEL and self.day == SLOW_ON_DAY else 1
        ttft_s = slow * speed.ttft_s * chance.lognormvariate(0, 0.35) + asked * 4e-5
        total_s = ttft_s + answered * speed.per_token_s * chance.lognormvariate(0, 0.2)
        cached = chance.random() < self.feature.cached and asked > 1024
        return {
            "id": f"{chance.getrandbits(96):024x}",
            "answer": self._answer(turn, model, chance),
            "input_tokens": asked,
            "cache_read_tokens": asked // 128 * 128 * 3 // 4 if cached and model != "acme-llama-70b" else 0,
            "output_tokens": answered,
            "reasoning_tokens": reasoning,
            "ttft_ms": round(1000 * ttft_s, 3),
            "total_ms": round(1000 * total_s, 3),
            "chunks": 3,
            "fail": _failures(chance),
        }

    def _answer(self, turn: int, model: str, chance: random.Random) -> str:
        if self.feature.name != "support-chat":
            return self.feature.answer
        # A chance of its own, so that what is planted moves nothing else.
        own = random.Random(f"{self.seed}/{turn}/{model}")
        evades = model in _LIGHTWEIGHT and self.day >= EVASIVE_FROM_DAY and own.random() < _EVADED
        said = EVASIVE if evades else self.feature.answer
        unsure = turn < len(_UNSURE) and chance.random() < _UNSURE[turn]
        confidence = chance.uniform(0.2, 0.55) if unsure else chance.uniform(0.65, 0.99)
        return f"{said} Case {self.day}-{own.randrange(10**6):06d}.\nconfidence: {confidence:.2f}"


def _failures(chance: random.Random) -> list[int]:
    drawn = chance.random()
    if drawn < _REFUSED:
        return [529, 529, 529]
    return [429] if drawn < _REFUSED + _RETRIED else []


def visits(midnight: datetime, seed: int = 7, share: float = 1.0) -> Iterator[Visit]:
    """The visits of the `DAYS` days before `midnight` (aware UTC), in order of days; `share` thins them out.
    The same midnight and seed give the same visits."""
    weights = list(accumulate(1 / (rank + 1) ** 1.05 for rank in range(USERS)))
    first = midnight.astimezone(UTC) - timedelta(days=DAYS)
    for number in range(DAYS):
        day = first + timedelta(days=number)
        chance = random.Random(f"{seed}/{day:%Y-%m-%d}")
        quiet = 0.45 if day.weekday() >= 5 else 1.0
        for feature in FEATURES:
            for _ in range(_poisson(chance, feature.a_day * quiet * share)):
                started = day + timedelta(seconds=_second_of_day(chance, feature.nightly))
                yield _visit(chance, feature, number, started, weights)


def live_visits(seed: int) -> Iterator[Visit]:
    """Visits without end, as they might come in working hours; they begin when they are taken."""
    weights = list(accumulate(1 / (rank + 1) ** 1.05 for rank in range(USERS)))
    chance = random.Random(seed)
    rates = [0.0 if feature.nightly else feature.a_day for feature in FEATURES]
    while True:
        feature = chance.choices(FEATURES, rates)[0]
        yield _visit(chance, feature, DAYS, datetime.now(UTC), weights)


def _visit(
    chance: random.Random, feature: Feature, day: int, started: datetime, weights: list[float]
) -> Visit:
    rank = chance.choices(range(USERS), cum_weights=weights)[0]
    # Who a user is does not change from day to day.
    person = random.Random(f"user/{rank}")
    plan = person.choices(list(PLANS), list(PLANS.values()))[0]
    key = f"{chance.getrandbits(64):016x}"
    return Visit(
        seed=key,
        day=day,
        feature=feature,
        customer=Customer(
            user=f"user-{rank:03d}",
            tenant=f"tenant-{person.randrange(20):02d}" if plan != "free" else "self-service",
            plan=plan,
            session=f"sess-{key[:10]}",
        ),
        started=started,
        input_tokens=feature.tokens[0].draw(chance),
        output_tokens=feature.tokens[1].draw(chance),
    )


def _second_of_day(chance: random.Random, nightly: bool) -> float:
    """Office hours with a dip at noon, or the small hours for what runs by itself."""
    if nightly:
        return 3600 * (1 + 2 * chance.random())
    while True:
        hour = 24 * chance.random()
        rate = 0.08 + math.exp(-((hour - 10.2) ** 2) / 6) + 0.9 * math.exp(-((hour - 15.3) ** 2) / 8)
        if chance.random() * 1.2 < rate:
            return 3600 * hour


def _poisson(chance: random.Random, mean: float) -> int:
    """Knuth's method in pieces, so that a large mean does not underflow."""
    total = 0
    while mean > 0:
        piece, mean = min(mean, 30.0), mean - 30.0
        limit, product = math.exp(-piece), chance.random()
        while product > limit:
            total += 1
            product *= chance.random()
    return total
