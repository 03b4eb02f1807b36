"""The charts' specifications."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import vl_convert

from core.question import METRICS, Answer, CostQuestion, Coverage, Row, Value
from web import chart

START = datetime(2026, 11, 2, tzinfo=UTC)


def answer(rows: list[Row], interval: str | None = None, groups: int | None = None) -> Answer:
    question = CostQuestion(group_by=("feature",), interval=interval, metrics=tuple(METRICS))  # type: ignore[arg-type]
    coverage = Coverage(len(rows), len(rows), 0, {}, 0, 0, 0)
    return Answer(question, START, rows, row("total"), coverage, groups or len(rows))


def row(name: Value, value: int | None = 3, start: datetime | None = None) -> Row:
    return Row((name,), start, dict.fromkeys(METRICS, value), 0)


@pytest.mark.parametrize("interval", [None, "hour", "day", "week", "month"])
@pytest.mark.parametrize("metric", ["cost", "errors", "input_tokens", "latency_p95", "users"])
def test_every_chart_compiles(metric: str, interval: str | None) -> None:
    rows = [row(name, at + 1, START + timedelta(days=at)) for at, name in enumerate(("a", "b", None))]
    spec = chart.spec(answer(rows, interval), metric)
    assert spec is not None
    assert vl_convert.vegalite_to_vega(spec, vl_version="6.4")["marks"]


def test_what_is_unknown_everywhere_is_not_drawn() -> None:
    assert chart.spec(answer([row("a", None)]), "cost") is None


def test_two_groups_that_read_the_same_have_a_bar_each() -> None:
    spec = chart.spec(answer([row(None), row("(not set)"), row("(others)")]), "cost")
    assert spec is not None
    assert len({datum["group"] for datum in spec["data"]["values"]}) == 3


def test_the_rest_is_summed_where_that_is_right_and_left_out_where_it_is_not() -> None:
    rows = [row(f"f{at:02}", at + 1, START) for at in range(12)]
    summed, left_out = (chart.spec(answer(rows, "day"), metric) for metric in ("requests", "latency_p95"))
    assert summed is not None and left_out is not None
    # 12 … 5 lead; 4 + 3 + 2 + 1 are the rest.
    assert [d["value"] for d in summed["data"]["values"] if d["group"] == chart.OTHERS] == [10]
    assert not [d for d in left_out["data"]["values"] if d["group"] == chart.OTHERS]
    assert "the rest as one" in chart.note(answer(rows, "day"), "requests")
    assert "the rest" not in chart.note(answer(rows, "day"), "latency_p95")


def test_a_cut_series_says_that_it_is_cut() -> None:
    assert "choose a longer interval" in chart.note(
        answer([row("a", 1, START)], "hour", groups=10_001), "cost"
    )


def test_money_is_shown_exactly_however_small() -> None:
    spec = chart.spec(answer([row("a", 13_650_001)]), "cost")
    assert spec is not None and spec["data"]["values"][0]["shown"] == "0.000013650001 USD"


def test_a_name_cannot_end_the_script_that_holds_it() -> None:
    from web.pages import script_json

    text = script_json(chart.spec(answer([row("</script><script>alert(1)</script>")]), "cost"))
    assert "<" not in text and json.loads(text)["data"]["values"][0]["group"].startswith("</script>")
