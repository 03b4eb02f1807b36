"""What the demo's company asked of its models over the last two weeks; a pure function of a seed and a day.

Token counts are log-normal, fitted by the mean and standard deviation of the logarithm to the two traces of
the Azure LLM inference dataset 2023 (AzurePublicDataset, CC BY 4.0; Patel et al., "Splitwise", ISCA 2024):
conversation 19,366 requests, input mu 6.633 sigma 0.985, output mu 5.019 sigma 0.859; code 8,819 requests,
input mu 6.999 sigma 1.360, output mu 2.788 sigma 0.847; cut at the traces' maxima. Arrivals are a Poisson
process whose rate follows the hour and the weekday; users are zipf-distributed. Speeds, error rates, cache
shares and escalations are assumptions, chosen to look like a normal week.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate

DAYS = 14
USERS = 500
_NS = 1_000_000_000


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
class Model:
    """A model of a tier; first token after `ttft_s`, then `per_token_s` a token (medians)."""

    provider: str
    name: str
    answered_by: str
    ttft_s: float
    per_token_s: float


LIGHT = (
    Model("openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", 0.32, 0.009),
    Model("anthropic", "claude-haiku-4-5", "claude-haiku-4-5-20251001", 0.38, 0.008),
)
STANDARD = (
    Model("openai", "gpt-4.1", "gpt-4.1-2025-04-14", 0.48, 0.014),
    Model("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", 0.75, 0.016),
)
PREMIUM = (
    Model("anthropic", "claude-opus-4-1", "claude-opus-4-1-20250805", 1.40, 0.028),
    Model("openai", "o3", "o3-2025-04-16", 2.60, 0.018),
)
TIERS = {"lightweight": LIGHT, "standard": STANDARD, "premium": PREMIUM}
# A model of the company's own, for which nobody publishes a price.
OWN = Model("vllm", "acme-llama-70b", "acme-llama-70b", 0.22, 0.011)


@dataclass(frozen=True, slots=True)
class Feature:
    """A part of the product: how often a day it is used, what it sends, which tiers it is routed to."""

    name: str
    service: str
    a_day: float
    tokens: tuple[Tokens, Tokens]
    tiers: dict[str, float]
    streaming: float
    cached: float = 0.0
    escalates: float = 0.0
    nightly: bool = False


FEATURES = (
    Feature(
        "support-chat",
        "support-bot",
        170,
        CONVERSATION,
        {"lightweight": 0.8, "standard": 0.2},
        0.95,
        0.45,
        0.12,
    ),
    Feature("code-completion", "ide-plugin", 210, CODE, {"lightweight": 0.72, "standard": 0.28}, 0.6, 0.3),
    Feature("code-review", "ide-plugin", 24, CODE, {"standard": 0.6, "premium": 0.4}, 0.3, 0.2),
    Feature(
        "weekly-summary", "summariser", 40, SUMMARY, {"lightweight": 0.9, "standard": 0.1}, 0.0, nightly=True
    ),
    Feature("contract-analysis", "legal-desk", 9, SUMMARY, {"premium": 0.85, "standard": 0.15}, 0.7, 0.1),
)
PLANS = {"free": 0.62, "pro": 0.3, "enterprise": 0.08}
_PROMPTS = {
    "support-chat": (
        "Where is my order? It was due on Tuesday.",
        "I am sorry for the delay. Your parcel left our depot.",
    ),
    "code-completion": (
        "def parse_header(line: str) ->",
        " tuple[str, str]:\n    name, _, value = line.partition(':')",
    ),
    "code-review": (
        "Review this change for mistakes.",
        "The loop reads the file again in every round; move it out.",
    ),
    "weekly-summary": (
        "Summarise this week's tickets.",
        "Most tickets were about late parcels and the new login.",
    ),
    "contract-analysis": (
        "Which clauses limit liability?",
        "Clauses 9.2 and 11.4 cap liability at the yearly fee.",
    ),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a model inside a visit."""

    tier: str
    model: Model
    start_ns: int
    duration_ns: int
    ttft_ns: int | None
    input_tokens: int
    cache_read: int
    output_tokens: int
    error: str | None = None
    step: int = 0
    escalated_from: str | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """What a user did once: the root span, and the calls below it."""

    feature: Feature
    user: str
    tenant: str
    plan: str
    session: str
    prompt: str
    answer: str
    calls: tuple[Call, ...] = field(default_factory=tuple)


def visits(midnight: datetime, seed: int = 7, share: float = 1.0) -> Iterator[Visit]:
    """The visits of the `DAYS` days before `midnight` (aware UTC), in order of days; `share` thins them out.
    The same midnight and seed give the same visits."""
    weights = list(accumulate(1 / (rank + 1) ** 1.05 for rank in range(USERS)))
    for back in range(DAYS, 0, -1):
        day = midnight.astimezone(UTC) - timedelta(days=back)
        chance = random.Random(f"{seed}/{day:%Y-%m-%d}")
        quiet = 0.45 if day.weekday() >= 5 else 1.0
        for feature in FEATURES:
            for _ in range(_poisson(chance, feature.a_day * quiet * share)):
                yield _visit(chance, feature, day, weights)


def _visit(chance: random.Random, feature: Feature, day: datetime, weights: list[float]) -> Visit:
    rank = chance.choices(range(USERS), cum_weights=weights)[0]
    # Who a user is does not change from day to day.
    person = random.Random(f"user/{rank}")
    plan = person.choices(list(PLANS), list(PLANS.values()))[0]
    prompt, answer = _PROMPTS[feature.name]
    start = day + timedelta(seconds=_second_of_day(chance, feature.nightly))
    return Visit(
        feature=feature,
        user=f"user-{rank:03d}",
        tenant=f"tenant-{person.randrange(20):02d}" if plan != "free" else "self-service",
        plan=plan,
        session=f"sess-{chance.getrandbits(40):010x}",
        prompt=prompt,
        answer=answer,
        calls=tuple(_calls(chance, feature, int(start.timestamp() * 1e6) * 1000)),
    )


def _calls(chance: random.Random, feature: Feature, start_ns: int) -> Iterator[Call]:
    """One call; after a refusal a second try; on an answer that will not do the next tier's."""
    tier = chance.choices(list(feature.tiers), list(feature.tiers.values()))[0]
    tokens = feature.tokens[0].draw(chance), feature.tokens[1].draw(chance)
    model = (
        OWN if feature.name == "code-completion" and chance.random() < 0.06 else chance.choice(TIERS[tier])
    )
    call = _call(chance, feature, tier, model, start_ns, tokens)
    if chance.random() < 0.012:
        refused = Call(tier, model, start_ns, 60_000_000, None, 0, 0, 0, error="rate_limit_error")
        yield refused
        call = _call(chance, feature, tier, model, start_ns + _NS, tokens)
    yield call
    if tier == "lightweight" and chance.random() < feature.escalates:
        after = call.start_ns + call.duration_ns + 40_000_000
        higher = chance.choice(STANDARD)
        yield _call(chance, feature, "standard", higher, after, tokens, step=1, escalated_from=tier)


def _call(
    chance: random.Random,
    feature: Feature,
    tier: str,
    model: Model,
    start_ns: int,
    tokens: tuple[int, int],
    step: int = 0,
    escalated_from: str | None = None,
) -> Call:
    ttft_s = model.ttft_s * chance.lognormvariate(0, 0.35) + tokens[0] * 4e-5
    duration_s = ttft_s + tokens[1] * model.per_token_s * chance.lognormvariate(0, 0.2)
    cached = chance.random() < feature.cached and tokens[0] > 1024 and model is not OWN
    return Call(
        tier=tier,
        model=model,
        start_ns=start_ns,
        duration_ns=int(duration_s * _NS),
        ttft_ns=int(ttft_s * _NS) if chance.random() < feature.streaming else None,
        input_tokens=tokens[0],
        cache_read=tokens[0] // 128 * 128 * 3 // 4 if cached else 0,
        output_tokens=tokens[1],
        step=step,
        escalated_from=escalated_from,
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
