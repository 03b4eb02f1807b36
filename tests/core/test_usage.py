"""Raw counts → classes that do not overlap, sum to the totals and are never negative."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.conventions.tokens import exclusive_usage
from core.usage import Usage


def usage(known: str | None = None, **counts: int) -> Usage:
    return exclusive_usage(counts, {}, known)  # type: ignore[arg-type]


def test_an_inclusive_input_is_split() -> None:
    read = usage("inclusive", input=1920, cache_read=1500, cache_write=300, output=64)
    assert (read.uncached_input, read.cache_read, read.cache_write, read.input_tokens) == (
        120,
        1500,
        300,
        1920,
    )


def test_an_exclusive_input_is_added_up() -> None:
    read = usage("exclusive", input=120, cache_read=1500, cache_write=300)
    assert (read.uncached_input, read.input_tokens) == (120, 1920)


def test_a_cache_larger_than_the_input_proves_exclusion_whatever_is_known() -> None:
    read = usage("inclusive", input=2, cache_read=84_562)
    assert (read.reading, read.uncached_input, read.input_tokens) == ("exclusive", 2, 84_564)


def test_the_total_tells_inclusion_from_exclusion() -> None:
    assert usage(input=1920, output=64, total=1984, cache_read=1500).reading == "inclusive"
    assert usage(input=1920, output=64, total=3484, cache_read=1500).reading == "exclusive"


def test_without_evidence_inclusion_is_assumed_and_said_so() -> None:
    read = usage(input=2048, output=64, cache_read=1792)
    assert (read.reading, read.uncached_input) == ("assumed", 256)


def test_a_class_that_the_wire_did_not_tell_is_unknown() -> None:
    read = usage(input=23, output=17)
    assert (read.uncached_input, read.cache_read, read.cache_write, read.reasoning) == (23, None, None, None)
    assert read.visible_output == read.output_tokens == 17


def test_nothing_on_the_wire_is_unknown_and_not_zero() -> None:
    assert not usage().known
    assert usage().input_tokens is None


def test_cache_writes_are_split_where_the_hour_part_is_told() -> None:
    read = usage("inclusive", input=1920, cache_write=300, cache_write_1h=100, cache_write_5m=200)
    assert (read.cache_write_5m, read.cache_write_1h, read.uncached_input) == (200, 100, 1620)


def test_cache_writes_of_untold_lifetime_stay_together() -> None:
    read = usage("inclusive", input=1920, cache_write=300)
    assert (read.cache_write_5m, read.cache_write_1h) == (300, None)


def test_the_parts_of_a_cache_write_are_enough() -> None:
    assert usage("inclusive", input=400, cache_write_5m=200, cache_write_1h=100).uncached_input == 100


def test_reasoning_is_taken_out_of_the_output() -> None:
    read = usage(input=75, output=310, reasoning=256)
    assert (read.visible_output, read.reasoning, read.output_tokens) == (54, 256, 310)


def test_reasoning_larger_than_the_output_was_never_inside_it() -> None:
    assert usage(output=10, reasoning=256).output_tokens == 266


tokens = st.integers(min_value=0, max_value=10_000)
NAMES = (
    "input",
    "output",
    "total",
    "cache_read",
    "cache_write",
    "cache_write_5m",
    "cache_write_1h",
    "reasoning",
)


@given(
    st.dictionaries(st.sampled_from(NAMES), tokens),
    st.sampled_from([None, "inclusive", "exclusive", "assumed"]),
)
def test_no_class_is_ever_negative_and_the_classes_sum_to_the_total(
    counts: dict[str, int], known: str | None
) -> None:
    read = usage(known, **counts)
    classes = (read.uncached_input, read.cache_read, read.cache_write_5m, read.cache_write_1h)
    assert all(part is None or part >= 0 for part in (*classes, read.visible_output, read.reasoning))
    if "input" in counts and read.reading != "exclusive":
        assert read.input_tokens == counts["input"]
    if "output" in counts and counts.get("reasoning", 0) <= counts["output"]:
        assert read.output_tokens == counts["output"]
