"""Policies and judges: read from what people write; a day's probabilities are never zero and pay for no more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadQuestion
from core.judging.judge import judge_from_json, judge_to_json
from core.judging.policy import (
    METHODS,
    Policy,
    Seen,
    latency_bucket,
    plan,
    policy_from_json,
    policy_to_json,
    stratum_key,
)

SEEN = st.dictionaries(
    st.text(max_size=5),
    st.builds(
        Seen,
        st.floats(0.1, 1e6),
        st.none() | st.floats(0, 0.5),
        st.integers(0, 1000),
    ),
    max_size=40,
)


@given(SEEN, st.sampled_from(METHODS), st.integers(1, 10**6), st.none() | st.floats(0, 1e6))
def test_no_request_is_without_a_chance(
    seen: dict[str, Seen], method: Any, wanted: int, affordable: float | None
) -> None:
    policy = Policy(method, () if method == "uniform" else ("feature",), wanted_a_day=wanted)
    found = plan(policy, seen, affordable)
    for chance in (found.base, *found.chances.values()):
        assert policy.least <= chance <= 1


def test_a_uniform_plan_draws_what_is_wanted() -> None:
    found = plan(Policy(wanted_a_day=50), {"[]": Seen(1000.0)})
    assert found.base == pytest.approx(0.05)


def test_a_budget_that_pays_for_less_draws_less() -> None:
    assert plan(Policy(wanted_a_day=500), {"[]": Seen(1000.0)}, 20.0).base == pytest.approx(0.02)


def test_strata_in_proportion_keep_their_floor() -> None:
    found = plan(
        Policy("stratified", ("tier",), wanted_a_day=100, floor=10), {"a": Seen(990.0), "b": Seen(10.0)}
    )
    assert found.chances["a"] == pytest.approx(0.1) and found.chances["b"] == 1


def test_a_stratum_is_named_by_its_values() -> None:
    policy = Policy("stratified", ("feature", "latency"))
    assert stratum_key(policy, {"feature": None, "latency": latency_bucket(2500)}) == '[null,"1 to 3 s"]'


def test_a_policy_is_read_back_as_itself() -> None:
    policy = policy_from_json({"method": "neyman", "filters": {"feature": ["chat", None], "tier": "light"}})
    assert policy.filters == {"feature": ("chat", None), "tier": ("light",)}
    assert policy_from_json(policy_to_json(policy)) == policy


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"method": "all"}, "method is one of uniform"),
        ({"method": "uniform", "strata": ["tier"]}, "has no strata"),
        ({"method": "neyman", "strata": ["colour"]}, "strata is a list of any of"),
        ({"wanted_a_day": 0}, "wanted_a_day is a whole number"),
        ({"repeats": 4}, "repeats is a whole number from 1 to 3"),
        ({"least": 0}, "least is a number from 0.0001"),
        ({"filters": {"colour": "red"}}, "colour"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(value: dict[str, Any], words: str) -> None:
    with pytest.raises(BadQuestion, match=words):
        policy_from_json(value)


OPENAI = {"name": "mini", "kind": "openai", "model": "gpt-4.1-mini"}


def test_a_judge_is_read_back_as_itself_and_knows_its_public_address() -> None:
    judge = judge_from_json(OPENAI | {"input_usd_per_million": "0.4", "output_usd_per_million": 1.6})
    assert judge.base_url == "https://api.openai.com/v1" and judge.provider == "openai"
    assert judge.own_rates() == (400_000, 1_600_000)
    assert judge_from_json(judge_to_json(judge)) == judge


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "carrier-pigeon"}, "kind is openai"),
        ({"key_variable": "TRIPOINT_DATABASE_URL"}, "begins with TRIPOINT_JUDGE_KEY_"),
        ({"key_variable": "sk-123"}, "The key itself is never stored"),
        ({"base_url": "ftp://here"}, "base_url is such as"),
        ({"base_url": "https://user:word@here/v1"}, "base_url is such as"),
        ({"input_usd_per_million": "1"}, "or neither"),
        ({"input_usd_per_million": "NaN", "output_usd_per_million": "1"}, "US dollars for a million"),
        ({"at_once": 0}, "at_once is a number from 1"),
        ({"timeout_s": True}, "timeout_s is a number"),
        ({"api_key": "sk-123"}, "no field 'api_key'"),
    ],
)
def test_a_judge_that_cannot_be_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadQuestion, match=words):
        judge_from_json(OPENAI | change)
