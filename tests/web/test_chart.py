"""The charts' specifications."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

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


def ticks(spec: dict[str, Any] | None) -> dict[str, str]:
    """What the time axis says, by the moment in UTC that it says it at."""
    assert spec is not None
    labels = json.loads(spec["encoding"]["x"]["axis"]["labelExpr"].partition("}")[0] + "}")
    return {f"{datetime.fromtimestamp(int(at) / 1000, UTC):%m-%d %H:%M}": said for at, said in labels.items()}


def test_days_are_named_by_the_readers_calendar_over_the_end_of_summer_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    starts = [datetime(2026, 10, day, tzinfo=berlin).astimezone(UTC) for day in (24, 25, 26)]
    spec = chart.spec(answer([row("a", 1, at) for at in starts], "day"), "cost", berlin)
    # The 25th has 25 hours, so its middle is half an hour later than the others'.
    assert ticks(spec) == {"10-24 10:00": "Oct 24", "10-25 10:30": "Oct 25", "10-26 11:00": "Oct 26"}
    assert spec is not None
    assert [datum["when"] for datum in spec["data"]["values"]] == ["2026-10-24", "2026-10-25", "2026-10-26"]
    assert [datum["end"] - datum["start"] for datum in spec["data"]["values"]] == [
        86_400_000, 90_000_000, 86_400_000,
    ]  # fmt: skip


def test_the_hour_that_comes_twice_is_two_bars_with_names_of_their_own() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    starts = [datetime(2026, 10, 25, hour, tzinfo=UTC) for hour in (0, 1)]
    spec = chart.spec(answer([row("a", 1, at) for at in starts], "hour"), "cost", berlin)
    assert spec is not None
    named = [datum["when"] for datum in spec["data"]["values"]]
    assert named == ["2026-10-25 02:00 CEST", "2026-10-25 02:00 CET"]


@pytest.mark.parametrize(("interval", "count"), [("hour", 48), ("day", 90), ("week", 110), ("month", 30)])
def test_an_axis_says_no_more_than_it_has_room_for(interval: str, count: int) -> None:
    step = {"hour": 1, "day": 24, "week": 168, "month": 24 * 31}[interval]
    rows = [row("a", 1, START + timedelta(hours=at * step)) for at in range(count)]
    if interval == "month":
        rows = [row("a", 1, datetime(2024 + at // 12, at % 12 + 1, 1, tzinfo=UTC)) for at in range(count)]
    said = ticks(chart.spec(answer(rows, interval), "requests"))
    assert 3 <= len(said) <= 9


def test_the_share_of_failed_requests_is_over_each_tiers_own() -> None:
    question = CostQuestion(group_by=("tier",), interval="day", metrics=("requests", "errors"))
    rows = [
        Row(("premium",), START, {"requests": 4, "errors": 1}, 0),
        Row(("lightweight",), START, {"requests": 50, "errors": 0}, 0),
    ]
    whole = Answer(question, START, rows, rows[0], Coverage(54, 54, 0, {}, 0, 0, 0), 2)
    spec = chart.small(whole, chart.ERROR_SHARE, ZoneInfo("UTC"))
    assert spec is not None
    drawn = {datum["group"]: (datum["value"], datum["shown"]) for datum in spec["data"]["values"]}
    assert drawn == {"premium": (25.0, "25%: 1 of 4"), "lightweight": (0.0, "0%: 0 of 50")}
    assert spec["usermeta"]["colours"][:2] == ["--t1", "--t3"]  # from the lightest up
