"""One call bills once, to whom it belongs, in whatever order its spans arrive."""

from __future__ import annotations

import random
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.request import Context, ContextSpan, RequestRecord
from core.settling import Settled, settle
from core.usage import Usage

START = 1_795_300_000_000_000_000


def call(span_id: str, **changes: Any) -> RequestRecord:
    """A request that runs from 100 to 200, in trace `t`."""
    start = changes.pop("start", 100)
    fields: dict[str, Any] = {
        "trace_id": "t",
        "span_id": span_id,
        "started_ns": START + start,
        "duration_ns": changes.pop("end", 200) - start,
        "request_model": "gpt-4o-mini",
        "provider": "openai",
        "service": "shop",
        "parent_span_id": changes.pop("parent", None),
        "response_id": changes.pop("id", None),
        "usage": usage(changes.pop("input", 23), changes.pop("output", 17)),
    }
    return RequestRecord(**{**fields, **changes})


def usage(input_: int | None, output: int | None, **others: Any) -> Usage:
    return Usage(uncached_input=input_, visible_output=output, **others)


def around(span_id: str, parent: str | None = None, **context: Any) -> ContextSpan:
    return ContextSpan("t", span_id, START, 1000, parent_span_id=parent, context=Context(**context))


def total(span_id: str, parent: str | None = None, input_: int = 231) -> RequestRecord:
    return call(span_id, parent=parent, start=0, end=1000, input=input_, output=44, aggregate=True)


def counted(verdicts: list[Settled]) -> list[RequestRecord]:
    return [verdict.record for verdict in verdicts if verdict.counted]


def ids(verdicts: list[Settled]) -> list[str]:
    return [record.span_id for record in counted(verdicts)]


# inheritance


def test_a_request_takes_each_field_from_its_nearest_ancestor() -> None:
    spans = [
        around("a", user="far", session="s"),
        around("b", "a", user="near"),
        around("c", "b", tier="premium"),
    ]
    context = settle([call("r", parent="c")], spans)[0].record.context
    assert (context.user, context.session, context.tier) == ("near", "s", "premium")


def test_its_own_value_beats_every_ancestor() -> None:
    own = call("r", parent="a", context=Context(user="own"))
    assert settle([own], [around("a", user="far")])[0].record.context.user == "own"


def test_a_request_lends_its_context_too() -> None:
    outer = call("a", context=Context(user="u"), start=0, end=900)
    inner = call("r", parent="a", input=1, output=1)
    assert [r.context.user for r in counted(settle([outer, inner], []))] == ["u", "u"]


def test_a_named_feature_beats_a_nearer_hint() -> None:
    spans = [around("a", feature="checkout"), around("b", "a", feature_hint="agent")]
    own = call("r", parent="b", context=Context(feature_hint="prompt"))
    assert settle([own], spans)[0].record.context.feature == "checkout"


def test_without_a_named_feature_the_nearest_hint_stands_in() -> None:
    spans = [around("a", feature_hint="workflow"), around("b", "a", feature_hint="agent")]
    assert settle([call("r", parent="b")], spans)[0].record.context.feature == "agent"


def test_tags_are_merged_and_the_nearest_wins() -> None:
    spans = [around("a", tags={"team": "red", "shop": "eu"}), around("b", "a", tags={"team": "blue"})]
    assert settle([call("r", parent="b")], spans)[0].record.context.tags == {"team": "blue", "shop": "eu"}


def test_a_cascade_is_inherited_but_a_step_is_not() -> None:
    context = settle([call("r", parent="a")], [around("a", cascade_id="c", cascade_step=2)])[0].record.context
    assert (context.cascade_id, context.cascade_step) == ("c", None)


def test_a_missing_ancestor_ends_the_chain() -> None:
    verdicts = settle([call("r", parent="b")], [around("a", user="u"), around("b", "missing")])
    assert verdicts[0].record.context.user is None


def test_spans_that_are_their_own_ancestors_do_not_hang() -> None:
    knot = [around("a", "c", user="u"), around("b", "a"), around("c", "b"), around("self", "self")]
    verdicts = settle([call("r", parent="b"), call("s", parent="self")], knot)
    assert [v.record.context.user for v in verdicts] == ["u", None]


# two instrumentations of one call


def test_two_reports_with_one_response_id_count_once_even_in_two_traces() -> None:
    verdicts = settle([call("a", id="x", source="one"), call("b", id="x", source="two", trace_id="u")], [])
    assert [(v.record.span_id, v.counted, v.duplicate_of) for v in verdicts] == [
        ("a", True, None),
        ("b", False, ("t", "a")),
    ]


def test_a_mock_that_repeats_its_id_in_sequence_is_many_calls() -> None:
    sequence = [call(str(at), id="x", start=100 * at, end=100 * at + 100) for at in range(1, 5)]
    assert len(ids(settle(sequence, []))) == 4


def test_one_instrumentation_reports_a_call_once_so_equal_ids_at_once_are_two_calls() -> None:
    at_once = [call("a", id="x", source="lib"), call("b", id="x", source="lib", start=110)]
    assert ids(settle(at_once, [])) == ["a", "b"]


def test_calls_at_once_with_one_id_are_paired_one_to_one() -> None:
    at_once = [
        call(f"{n}{lib}", id="x", source=lib, start=100 + n) for n in range(5) for lib in ("one", "two")
    ]
    assert len(ids(settle(at_once, []))) == 5


def test_two_providers_never_share_a_call() -> None:
    others = [call("a", id="x"), call("b", id="x", provider="anthropic"), call("c", id="x", provider=None)]
    assert len(ids(settle(others, []))) == 2


def test_the_providers_own_sdk_gives_the_numbers_and_the_users_span_the_identity() -> None:
    own = call(
        "n", id="x", native=True, start=110, end=190, output=64, streaming=True, ttft_ns=5, trace_id="u"
    )
    other = call("o", id="x", output=65, context=Context(user="u"), finish_reason="stop")
    (merged,) = counted(settle([own, other], []))
    assert (merged.span_id, merged.started_ns, merged.duration_ns) == ("o", START + 100, 100)
    assert (merged.usage.output_tokens, merged.ttft_ns, merged.streaming) == (64, 5, True)
    assert (merged.context.user, merged.finish_reason) == ("u", "stop")


def test_the_finer_split_of_the_same_total_is_taken_whole() -> None:
    fine = usage(120, 64, cache_read=1500, cache_write_5m=200, cache_write_1h=100)
    coarse = usage(1920, 64)
    merged = counted(settle([call("a", id="x", usage=coarse), call("b", id="x", usage=fine)], []))[0].usage
    assert (merged.uncached_input, merged.cache_read, merged.input_tokens) == (120, 1500, 1920)


def test_context_inherited_in_another_trace_is_merged_too() -> None:
    under_agent = call("b", id="x", parent="a", source="two")
    elsewhere = call("o", id="x", source="one", trace_id="u", start=50)
    (merged,) = counted(settle([under_agent, elsewhere], [around("a", user="u")]))
    assert (merged.span_id, merged.context.user) == ("o", "u")


def test_a_request_inside_its_like_is_the_same_call() -> None:
    outer, inner = call("o", start=90, end=210), call("i", parent="m", id="x")
    verdicts = settle([outer, inner], [around("m", "o")])
    assert ids(verdicts) == ["o"]
    assert counted(verdicts)[0].response_id == "x"


def test_a_request_inside_one_of_other_tokens_model_or_time_is_a_call_of_its_own() -> None:
    outer = call("o", start=90, end=210)
    for change in ({"input": 99}, {"request_model": "gpt-5"}, {"end": 5_000_000}):
        assert len(ids(settle([outer, call("i", parent="o", **change)], []))) == 2


def test_clocks_of_two_services_may_disagree_about_a_nested_call() -> None:
    skew = 3_000_000_000
    there = {"service": "gateway", "start": 100 + skew, "end": 200 + skew}
    for ids_ in ({"id": "x"}, {}):
        app, gateway = call("o", **ids_), call("i", parent="o", **ids_, **there)
        assert ids(settle([app, gateway], [])) == ["o"]


def test_the_same_id_below_itself_is_one_call_whatever_each_calls_the_provider() -> None:
    client = call("o", id="x", start=90, end=210, provider="openai")
    proxy = call("i", id="x", parent="o", provider="azure.ai.openai", service="gateway")
    assert ids(settle([client, proxy], [])) == ["o"]
    elsewhere = call("i", id="x", provider="groq", trace_id="u", source="other")
    assert len(ids(settle([client, elsewhere], []))) == 2


def test_two_calls_of_one_wrapper_stay_two_where_a_mock_repeats_its_id() -> None:
    wrapper = call("w", id="x", start=0, end=900, source="outer")
    children = [call(name, id="x", parent="w", source="inner") for name in "ab"]
    assert len(ids(settle([wrapper, *children], []))) == 2


def test_reports_that_start_over_an_hour_apart_are_two_calls_in_any_order() -> None:
    hour = 3_600_000_000_000
    long = call("a", id="x", end=2 * hour, source="one")
    late = call("b", id="x", start=hour + 1_000, end=hour + 2_000, source="two", trace_id="u")
    assert len(ids(settle([long, late], []))) == len(ids(settle([late, long], []))) == 2


def test_a_wrapper_of_unknown_usage_stands_for_one_of_its_calls_only() -> None:
    wrapper = call("w", start=0, end=900, input=None, output=None)
    calls = [call(str(at), parent="w", id=str(at), start=100 * at, end=100 * at + 90) for at in (1, 2, 3)]
    assert len(ids(settle([wrapper, *calls], []))) == 3


def test_a_failed_attempt_inside_a_call_that_went_well_stays_visible() -> None:
    failed = call("f", parent="o", status="error", input=None, output=None)
    verdicts = settle([call("o", start=90, end=210), failed], [])
    assert [record.status for record in counted(verdicts)] == ["ok", "error"]


def test_a_request_whose_id_found_its_twin_takes_no_second_one() -> None:
    outer, twin = call("o", id="x", start=90, end=210), call("n", id="x", parent="o", source="sdk")
    other = call("i", parent="o", start=120)
    assert ids(settle([outer, twin, other], [])) == ["o", "i"]


def test_refusals_without_an_id_are_paired_with_the_providers_own_report() -> None:
    refused: dict[str, Any] = {"status": "error", "http_status": 429, "input": None, "output": None}
    seen = [call(f"o{at}", start=100 + at, end=300 + at, **refused) for at in range(3)]
    own = [call(f"n{at}", start=110 + at, end=290, trace_id="u", native=True, **refused) for at in range(3)]
    assert ids(settle([*seen, *own], [])) == ["o0", "o1", "o2"]


# sums


def test_a_sum_does_not_count_beside_its_requests() -> None:
    verdicts = settle(
        [total("a"), call("r", parent="m"), call("s", parent="m", start=300, end=400)], [around("m", "a")]
    )
    assert ids(verdicts) == ["r", "s"]
    assert verdicts[0].duplicate_of == ("t", "r")


def test_of_nested_orphan_sums_the_outermost_counts() -> None:
    verdicts = settle([total("a"), total("b", "m"), total("c", "b")], [around("m", "a")])
    assert ids(verdicts) == ["a"]
    assert {v.duplicate_of for v in verdicts if not v.counted} == {("t", "a")}
    assert counted(verdicts)[0].aggregate


def test_a_sum_counts_again_as_long_as_its_requests_are_missing() -> None:
    assert ids(settle([total("a")], [])) == ["a"]
    assert ids(settle([total("a"), call("r", parent="a")], [])) == ["r"]


def test_a_sum_names_the_counted_record_where_its_request_is_a_duplicate() -> None:
    below = call("r", parent="a", id="x", source="two")
    elsewhere = call("o", id="x", source="one", trace_id="u", start=50)
    sum_ = next(v for v in settle([total("a"), below, elsewhere], []) if v.record.aggregate)
    assert sum_.duplicate_of == ("u", "o")


def test_a_sum_that_only_repeats_the_request_above_it_does_not_count() -> None:
    verdicts = settle([call("r", input=231, output=44), total("a", "r")], [])
    assert ids(verdicts) == ["r"]


# laws


span_ids = st.sampled_from("abcdefgh")
records = st.builds(
    call,
    span_ids,
    parent=st.none() | span_ids,
    trace_id=st.sampled_from("tu"),
    id=st.sampled_from([None, "x", "y"]),
    start=st.integers(0, 60),
    end=st.integers(60, 99),
    provider=st.sampled_from([None, "openai", "anthropic"]),
    source=st.sampled_from(["", "one", "two"]),
    native=st.booleans(),
    aggregate=st.sampled_from([False, False, True]),
    status=st.sampled_from(["ok", "error"]),
    input=st.sampled_from([None, 23, 91]),
    context=st.builds(Context, feature=st.sampled_from([None, "f"]), user=st.sampled_from([None, "u", "v"])),
)
contexts = st.builds(around, span_ids, st.none() | span_ids, user=st.sampled_from([None, "w"]))
sets = st.tuples(st.lists(records, max_size=9), st.lists(contexts, max_size=4))


@settings(max_examples=300, deadline=None)
@given(sets, st.randoms(use_true_random=False))
def test_the_result_depends_on_the_set_alone(
    sent: tuple[list[RequestRecord], list[ContextSpan]], chance: random.Random
) -> None:
    requests, spans = sent
    first = settle(requests, spans)
    again = [*requests, *requests[:3]]
    chance.shuffle(again)
    assert settle(again, spans[::-1]) == first


@settings(max_examples=300, deadline=None)
@given(sets)
def test_each_record_has_one_verdict_and_what_does_not_count_names_what_does(
    sent: tuple[list[RequestRecord], list[ContextSpan]],
) -> None:
    verdicts = settle(*sent)
    keys = [(v.record.trace_id, v.record.span_id) for v in verdicts]
    assert sorted(keys) == sorted({(r.trace_id, r.span_id) for r in sent[0]})
    winners = {key for key, v in zip(keys, verdicts, strict=True) if v.counted}
    assert all(v.counted == (v.duplicate_of is None) for v in verdicts)
    assert all(v.duplicate_of in winners for v in verdicts if not v.counted)


@settings(max_examples=200, deadline=None)
@given(sets)
def test_numbers_are_chosen_and_never_added(sent: tuple[list[RequestRecord], list[ContextSpan]]) -> None:
    tokens = {r.usage.input_tokens for r in sent[0]}
    assert {v.record.usage.input_tokens for v in settle(*sent)} <= tokens


def test_thousands_of_spans_in_one_chain_with_one_id_settle_in_seconds() -> None:
    chain = [
        call(str(at), parent=str(at - 1), id="x", source="lib", start=at, end=9999) for at in range(4000)
    ]
    crowd = [call(f"c{at}", id="y", source="lib", start=at, end=9999) for at in range(4000)]
    began = time.perf_counter()
    settle([*chain, *crowd], [])
    assert time.perf_counter() - began < 10
