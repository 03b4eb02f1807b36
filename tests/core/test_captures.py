"""Every real body, decoded, read and settled, gives what the provider saw."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from core.conventions import record_from_span
from core.request import RequestRecord
from core.settling import Settled, settle
from core.span import Span
from tests.captures import CAPTURES, KNOWN, RULES, cases, expected, is_known, spans_of, true_requests

if not CAPTURES.is_dir():
    pytest.skip(f"the captures are not at {CAPTURES}", allow_module_level=True)

READABLE = [case for case in cases() if "expect_http_status" not in expected(case)]


def settled(spans: Iterable[Span]) -> list[Settled]:
    read = [record_from_span(span) for span in spans]
    return settle(
        [r for r in read if isinstance(r, RequestRecord)],
        [r for r in read if not isinstance(r, RequestRecord)],
    )


def counted(spans: Iterable[Span]) -> list[RequestRecord]:
    return [verdict.record for verdict in settled(spans) if verdict.counted]


def pairs(case: str) -> list[tuple[RequestRecord, dict[str, Any]]]:
    """Counted requests beside the true ones, in order of time; none where the library sent nothing."""
    if is_known(case, "requests"):
        return []
    return list(zip(counted(spans_of(case)), true_requests(case), strict=True))


@pytest.mark.parametrize("case", READABLE)
def test_each_request_counts_once(case: str) -> None:
    if not is_known(case, "requests"):
        assert len(counted(spans_of(case))) == expected(case)["logical_requests"]


@pytest.mark.parametrize("case", READABLE)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_what_is_read_is_what_the_provider_saw(
    case: str, rule: Callable[[str, RequestRecord, dict[str, Any]], None]
) -> None:
    for record, truth in pairs(case):
        rule(case, record, truth)


@pytest.mark.parametrize("case", READABLE)
def test_order_and_batches_change_nothing(case: str) -> None:
    spans, chance = spans_of(case), random.Random(case)
    in_order = settled(spans)
    for _ in range(3):
        chance.shuffle(spans)
        cut = chance.randint(0, len(spans))
        assert settled([*spans[cut:], *spans[:cut], *spans[:1]]) == in_order


@pytest.mark.parametrize("case", KNOWN)
def test_what_is_known_is_proven_by_the_bytes(case: str) -> None:
    assert KNOWN[case].proof(spans_of(case)), KNOWN[case].reason
