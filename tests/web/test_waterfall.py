"""A trace drawn as a waterfall."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from core.ledger import LedgerRequest, Trace
from core.request import ContextSpan, RequestRecord
from core.usage import Usage
from web.waterfall import total, waterfall

_S = 1_000_000_000
TRACE = "a" * 32


def span(id: str, parent: str | None = None, start: int = 0, seconds: float = 1) -> ContextSpan:
    return ContextSpan(TRACE, id, start * _S, int(seconds * _S), name=id, parent_span_id=parent)


def request(
    id: str, parent: str | None = None, cost: int | None = 5, counted: bool = True, **known: object
) -> LedgerRequest:
    record = RequestRecord(TRACE, id, 0, _S, parent_span_id=parent, **known)  # type: ignore[arg-type]
    status = "unpriced" if cost is None else "priced"
    return LedgerRequest(record, "settled", counted, None, None, status, None, cost, cost, datetime.now(UTC))


def drawn(*spans: ContextSpan, requests: tuple[LedgerRequest, ...] = ()) -> list[tuple[str, int]]:
    return [(bar.span_id, bar.depth) for bar in waterfall(Trace(TRACE, requests, spans, ())).bars]


def test_children_stand_below_their_parent_in_order_of_time() -> None:
    assert drawn(span("root"), span("late", "root", 2), span("early", "root", 1), span("leaf", "late", 3)) == [
        ("root", 0), ("early", 1), ("late", 1), ("leaf", 2),
    ]  # fmt: skip


def test_a_span_whose_parent_never_came_stands_at_the_root() -> None:
    assert drawn(span("orphan", "gone")) == [("orphan", 0)]


def test_spans_that_are_each_others_ancestors_are_drawn_once_each() -> None:
    assert {name for name, _ in drawn(span("a", "b"), span("b", "a"), span("c", "c"))} == {"a", "b", "c"}
    assert len(drawn(span("a", "b"), span("b", "a"), span("c", "c"))) == 3


def test_a_bar_shows_the_wait_for_the_first_token_as_its_part() -> None:
    bars = waterfall(Trace(TRACE, [request("r", ttft_ns=_S // 4)], [span("root", seconds=2)], ())).bars
    bar = next(bar for bar in bars if bar.request)
    assert (bar.left, bar.width, bar.waiting) == (0, 500, 125)


def test_a_trace_of_no_duration_is_drawn() -> None:
    fall = waterfall(Trace(TRACE, (), [span("a", seconds=0)], ()))
    assert fall.bars[0].width > 0 and fall.duration_ms == 0


def test_the_total_counts_what_counts_and_says_what_it_lacks() -> None:
    trace = Trace(
        TRACE,
        [
            request("a", cost=5, usage=Usage(uncached_input=10)),
            request("b", cost=None),
            request("c", cost=9, counted=False),
        ],
        (),
        (),
    )
    assert total(trace) == {
        "requests": 2, "uncounted": 1, "cost": 5, "unpriced": 1, "input": 10, "output": None,
    }  # fmt: skip


ids = st.sampled_from("abcdefgh")


@given(st.dictionaries(ids, st.tuples(st.none() | ids, st.integers(0, 9), st.floats(0, 9)), min_size=1))
def test_every_span_is_drawn_once_and_inside_the_trace(
    spans: dict[str, tuple[str | None, int, float]],
) -> None:
    trace = Trace(TRACE, (), [span(id, *rest) for id, rest in spans.items()], ())
    bars = waterfall(trace).bars
    assert sorted(bar.span_id for bar in bars) == sorted(spans)
    for bar in bars:
        assert bar.left >= -1e-6 and bar.left + bar.width <= 1000 + 1e-6 and bar.width >= 4
