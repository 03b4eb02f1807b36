"""The charts of an alert: a stream's scores over time with the change in it, and a judge's anchors round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

_TICKS = 6
_HEIGHT = 280


def instant(text: str) -> datetime:
    """A time as an alert's body has it."""
    return datetime.fromisoformat(text)


def stream_chart(body: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any] | None:
    """Means of equally many scores with their 95 % intervals, the bounds of the reference, and the change: a band where
    it may lie and a line where it most likely does. None where nothing is stored to draw."""
    bins = body["series"]
    if not bins:
        return None
    points = [
        {
            "at": (_ms(one["from"]) + _ms(one["to"])) // 2,
            "mean": one["mean"],
            "low": one["mean"] if one["low"] is None else one["low"],
            "high": one["mean"] if one["high"] is None else one["high"],
            "when": f"{_words(one['from'], zone)} to {_words(one['to'], zone)}",
            "shown": _interval(one["mean"], one["low"], one["high"]),
            "count": one["count"],
        }
        for one in bins
    ]
    first, last = _ms(bins[0]["from"]), _ms(bins[-1]["to"])
    x = _axis(first, last, zone)
    layers: list[tuple[str, dict[str, Any]]] = []
    if change := body["change"]:
        place = [{"low": _ms(change["low"]), "high": _ms(change["high"]), "at": _ms(change["at"])}]
        span = {"x": x | {"field": "low"}, "x2": {"field": "high"}}
        layers.append(("--bad", _layer({"type": "rect", "opacity": 0.16}, span, place)))
        layers.append(
            ("--bad", _layer({"type": "rule", "strokeWidth": 2}, {"x": x | {"field": "at"}}, place))
        )
    if reference := body["reference"]:
        bounds = [{"y": reference["low"]}, {"y": reference["high"]}]
        rule = {"type": "rule", "strokeDash": [5, 4], "strokeWidth": 1.5}
        layers.append(("--c-unset", _layer(rule, {"y": _score("y")}, bounds)))
    band = {"x": x | {"field": "at"}, "y": _score("low"), "y2": {"field": "high"}}
    layers.append(("--quality", _layer({"type": "area", "opacity": 0.22}, band, points)))
    tooltip = [
        {"field": "when", "title": "From"},
        {"field": "shown", "title": "Mean score"},
        {"field": "count", "title": "Scores"},
    ]
    line = {"x": x | {"field": "at"}, "y": _score("mean"), "tooltip": tooltip}
    layers.append(
        ("--quality", _layer({"type": "line", "point": {"size": 40}, "strokeWidth": 2}, line, points))
    )
    return _frame(layers)


def rounds_chart(
    rounds: Sequence[Mapping[str, Any]], margin: float | None, zone: ZoneInfo
) -> dict[str, Any] | None:
    """How far each day's scores of the anchors lay from the first, and how far they may lie."""
    if not rounds:
        return None
    points = [
        {"at": _ms(f"{one['day']}T12:00:00+00:00"), "mean": one["mean"], "when": one["day"], "count": one["count"],
         "shown": f"{one['mean']:+.3f}"}
        for one in rounds
    ]  # fmt: skip
    x = _axis(points[0]["at"], points[-1]["at"], zone)
    y = {"type": "quantitative", "title": "New less first score"}
    lines = [{"y": 0.0}] if margin is None else [{"y": margin}, {"y": -margin}]
    rule = {"type": "rule", "strokeDash": [5, 4], "strokeWidth": 1.5}
    tooltip = [
        {"field": "when", "title": "Day (UTC)"},
        {"field": "shown", "title": "Difference"},
        {"field": "count", "title": "Anchors"},
    ]
    line = {"x": x | {"field": "at"}, "y": y | {"field": "mean"}, "tooltip": tooltip}
    return _frame(
        [
            ("--c-unset", _layer(rule, {"y": y | {"field": "y"}}, lines)),
            ("--quality", _layer({"type": "line", "point": {"size": 40}, "strokeWidth": 2}, line, points)),
        ]
    )


def _frame(layers: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": _HEIGHT,
        "autosize": {"type": "fit", "contains": "padding"},
        "layer": [layer for _, layer in layers],
        "usermeta": {"colours": [colour for colour, _ in layers]},
    }


def _layer(
    mark: Mapping[str, Any], encoding: Mapping[str, Any], values: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {"mark": dict(mark), "encoding": dict(encoding), "data": {"values": list(values)}}


def _score(field: str) -> dict[str, Any]:
    scale = {"domain": [0, 1]}
    return {"field": field, "type": "quantitative", "title": "Mean score", "scale": scale}


def _axis(first: int, last: int, zone: ZoneInfo) -> dict[str, Any]:
    """Time with labels on the reader's clocks, which the browser does not know."""
    last = max(last, first + 1)
    steps = [first + (last - first) * at // (_TICKS - 1) for at in range(_TICKS)]
    short = last - first < 4 * 86_400_000
    labels = {str(at): _tick(at, zone, short) for at in steps}
    text = ", ".join(f'"{at}": "{words}"' for at, words in labels.items())
    return {
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc", "domainMin": {"expr": str(first)}, "domainMax": {"expr": str(last)}},
        "axis": {
            "grid": False,
            "labelOverlap": "parity",
            "labelSeparation": 8,
            "values": {"expr": f"[{', '.join(labels)}]"},
            "labelExpr": f"{{{text}}}[time(datum.value)]",
        },
    }


def _tick(at: int, zone: ZoneInfo, short: bool) -> str:
    local = datetime.fromtimestamp(at / 1000, zone)
    return f"{local:%b} {local.day}{f' {local:%H:%M}' if short else ''}"


def _ms(text: str) -> int:
    return round(instant(text).timestamp() * 1000)


def _words(text: str, zone: ZoneInfo) -> str:
    return f"{instant(text).astimezone(zone):%Y-%m-%d %H:%M}"


def _interval(mean: float, low: float | None, high: float | None) -> str:
    return (
        f"{mean:.3f}"
        if low is None or high is None
        else f"{mean:.3f} (95 % interval {low:.3f} to {high:.3f})"
    )
