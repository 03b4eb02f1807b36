"""A stream learns, is watched in both directions, goes on where it stopped, and is one among many."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.stats import stream as watching
from core.stats.sampling import draw
from core.stats.stream import Stream, Terms, equal_chance, feed, stream_from_json, stream_to_json

TERMS = Terms(reference=40)


def changed(streams: dict[str, Stream], alpha: float) -> set[str]:
    """The streams that have moved, by what they are watched with."""
    known = {name: one.evidence for name, one in streams.items() if one.evidence is not None}
    return watching.changed(known, alpha)


def scores(chance: np.random.Generator, many: int, mean: float) -> list[float]:
    """Levels of five, as judges give them."""
    return list(chance.binomial(4, mean, many) / 4)


@given(st.lists(st.integers(0, 4).map(lambda level: level / 4), max_size=120), st.lists(st.integers(0, 120)))
def test_in_pieces_it_is_the_same_as_at_once(given: list[float], cuts: list[int]) -> None:
    pieces, last = Stream(), 0
    for cut in [*sorted(cuts), len(given)]:
        pieces = feed(pieces, given[last:cut], TERMS)
        pieces = stream_from_json(json.loads(json.dumps(stream_to_json(pieces))))
        last = max(last, cut)
    assert pieces == feed(Stream(), given, TERMS)


def test_it_says_nothing_while_it_learns() -> None:
    learning = feed(Stream(), [0.5] * 39, TERMS)
    assert (learning.status, learning.count, learning.evidence, learning.threshold) == (
        "learning",
        39,
        None,
        None,
    )
    begun = feed(learning, [0.5], TERMS)
    assert (begun.status, begun.count, begun.evidence, begun.threshold) == ("watching", 0, 1, 200)
    assert begun.reference and begun.reference.low < 0.48 and begun.reference.high > 0.52


def test_its_state_stays_small() -> None:
    chance = np.random.default_rng(1)
    text = json.dumps(stream_to_json(feed(Stream(), scores(chance, 3000, 0.8), Terms())))
    assert len(text) < 1500


@pytest.mark.parametrize(("after", "side"), [(0.6, "fall"), (0.95, "rise")])
def test_it_notices_either_direction_and_the_dashboard_sooner(after: float, side: str) -> None:
    chance = np.random.default_rng(2)
    stream = feed(Stream(), scores(chance, 700, 0.8), Terms())
    assert changed({"one": stream}, 0.01) == set() and not stream.noticed
    first: dict[str, int] = {}
    for at, score in enumerate(scores(chance, 900, after)):
        stream = feed(stream, [score], Terms())
        if stream.noticed:
            first.setdefault("dashboard", at)
        if changed({"one": stream}, 0.01):
            first.setdefault("page", at)
    assert stream.side == side and first["dashboard"] > 0 and first["page"] < 700, first


def test_stationary_streams_stay_quiet_and_the_moved_one_is_named() -> None:
    chance = np.random.default_rng(3)
    streams = {str(at): feed(Stream(), scores(chance, 4000, 0.8), Terms()) for at in range(20)}
    assert changed(streams, 0.01) == set()
    streams["moved"] = feed(Stream(), [*scores(chance, 500, 0.8), *scores(chance, 500, 0.6)], Terms())
    streams["new"] = Stream((0.1,))
    assert changed(streams, 0.01) == {"moved"}


def test_one_stream_alone_needs_the_threshold_and_among_many_more() -> None:
    chance = np.random.default_rng(4)
    stream = feed(Stream(), scores(chance, 300, 0.8), Terms())
    threshold, quiet = stream.threshold or 0, feed(Stream(), [0.5] * 300, Terms())
    while (stream.evidence or 0) < threshold:
        stream = feed(stream, scores(chance, 1, 0.55), Terms())
    assert changed({"one": stream}, 0.01) == {"one"}
    assert (stream.evidence or 0) < 20 * threshold
    assert changed({"one": stream} | {str(at): quiet for at in range(20)}, 0.01) == set()


def test_thinning_gives_every_request_of_a_stream_the_same_chance() -> None:
    """Long answers are drawn with .8 and short ones with .2: unthinned, they would be four in five of the stream."""
    kept = {"long": 0, "short": 0}
    many = 40_000
    for at in range(many):
        for name, own in (("long", 0.8), ("short", 0.2)):
            judged = draw(str(at), name, "policy") < own
            kept[name] += judged and equal_chance(own, [0.8, 0.2], draw(str(at), name, "watch"))
    assert kept["short"] / many == pytest.approx(0.2, abs=0.007)
    assert kept["long"] / many == pytest.approx(0.2, abs=0.007)
