"""The made-up company's two weeks: what they are drawn from, and what is planted in them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from statistics import mean

from demo.workload import DAYS, DEAR_FROM_DAY, FEATURES, SLOW_ON_DAY, Visit, visits

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)
FOUND = list(visits(MIDNIGHT))


def of(feature: str) -> list[Visit]:
    return [visit for visit in FOUND if visit.feature.name == feature]


def test_the_same_day_gives_the_same_workload() -> None:
    assert list(visits(MIDNIGHT)) == FOUND
    assert FOUND[0].behaviour(0, "gpt-4.1") == FOUND[0].behaviour(0, "gpt-4.1")


def test_the_workload_looks_like_a_company() -> None:
    users = Counter(visit.customer.user for visit in FOUND)
    assert {visit.feature for visit in FOUND} == set(FEATURES)
    assert users.most_common(1)[0][1] > 20 * sorted(users.values())[len(users) // 2] / 10
    assert {visit.customer.plan for visit in FOUND} == {"free", "pro", "enterprise"}
    assert len({visit.started.date() for visit in FOUND}) == DAYS
    assert all(visit.started < MIDNIGHT for visit in FOUND)


def test_some_calls_are_refused_and_most_of_these_only_once() -> None:
    failures = [visit.behaviour(0, "gpt-4.1")["fail"] for visit in FOUND]
    once, thrice = (sum(len(fail) == count for fail in failures) / len(failures) for count in (1, 3))
    assert 0.006 < once < 0.02 and 0 < thrice < 0.008


def test_a_release_makes_reviews_twice_as_large_from_the_tenth_day_on() -> None:
    reviews = of("code-review")
    for review in reviews:
        asked = review.behaviour(0, "claude-sonnet-4-5")
        dear = review.day >= DEAR_FROM_DAY
        assert asked["input_tokens"] == review.input_tokens * (2 if dear else 1)
        assert review.release == ("2026.11" if dear else "2026.10")


def test_the_premium_model_is_slow_on_one_day_only() -> None:
    ttft = {
        slow: mean(
            visit.behaviour(0, "claude-opus-4-1")["ttft_ms"]
            for visit in FOUND
            if (visit.day == SLOW_ON_DAY) == slow
        )
        for slow in (True, False)
    }
    assert 3 < ttft[True] / ttft[False] < 4.5


def test_no_answer_ends_before_its_first_token() -> None:
    for visit in FOUND[::7]:
        asked = visit.behaviour(0, "o3")
        assert (
            0 < asked["ttft_ms"] < asked["total_ms"]
            and asked["output_tokens"] > asked["reasoning_tokens"] >= 0
        )
