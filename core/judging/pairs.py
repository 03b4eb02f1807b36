"""Two candidates compared by a judge that reads each pair in both orders: who wins, and what order and length did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.stats.bias import BothOrders, both_orders
from core.stats.estimate import Sample, judge_mean
from core.stats.pairwise import WinRate, length_controlled

METHOD = (
    "Each pair counts with the mean of the judge's verdicts in both orders: 1 where the first candidate won, 0 where"
    " the other did, 0.5 for a tie. The interval is a 95 % confidence interval (Student's t) with sessions as units. A"
    " flip is a pair whose two verdicts differ, with a 95 % Wilson interval; a tie is one whose verdicts both say so."
    " The win rate at equal length takes out what a curve through the verdicts says of length; length can be quality,"
    " so neither rate replaces the other. All of it is the judge's opinion."
)


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair on one dimension: the verdicts for the first candidate, 0 to 1, as `Reply.scores` of `read_pair` gives
    them, read first and, where it was asked, read second; how long both answers are; what it clusters with."""

    forward: float | None
    backward: float | None
    length: int
    other_length: int
    session: str

    @property
    def verdicts(self) -> tuple[float, ...]:
        """Those that there are."""
        return tuple(one for one in (self.forward, self.backward) if one is not None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a candidate fares against another. `pairs` have a verdict, in so many `sessions`; `both` have two, of which
    `flips` tells; `ties` were a tie each time they were asked; `wins` is the plain rate and `controlled` the one at
    equal length, each with its reason where there is none."""

    pairs: int
    sessions: int
    wins: WinRate
    controlled: WinRate
    both: int
    flips: BothOrders | None
    ties: int


def compare(pairs: Sequence[Pair]) -> Comparison:
    """The comparison on one dimension. Pairs without a verdict do not count, and pairs with an empty answer have no
    ratio of lengths."""
    judged = [pair for pair in pairs if pair.verdicts]
    twice = [pair for pair in judged if len(pair.verdicts) == 2]
    measured = [pair for pair in judged if pair.length > 0 and pair.other_length > 0]
    forward = np.array([pair.forward for pair in twice], float)
    backward = np.array([pair.backward for pair in twice], float)
    return Comparison(
        pairs=len(judged),
        sessions=len({pair.session for pair in judged}),
        wins=_plain(judged),
        controlled=length_controlled(
            _means(measured),
            np.array([pair.length / pair.other_length for pair in measured]),
            _clusters(measured),
        ),
        both=len(twice),
        flips=both_orders(forward, backward) if twice else None,
        ties=sum(set(pair.verdicts) == {0.5} for pair in judged),
    )


def _plain(judged: Sequence[Pair]) -> WinRate:
    sessions = len({pair.session for pair in judged})
    if sessions < 2:
        return WinRate(
            reason=f"{len(judged)} pairs of {sessions} sessions: a rate with an interval needs 2 sessions."
        )
    wins, certain = _means(judged), np.ones(len(judged))
    if np.ptp(wins) == 0:
        return WinRate(
            float(wins[0]),
            reason=f"All {len(judged)} verdicts are the same, so they do not tell how much they vary: no interval.",
        )
    found = judge_mean(Sample(wins, certain, _clusters(judged), np.full(len(judged), np.nan), certain))
    return WinRate(found.value, found.low, found.high, reason=found.reason)


def _means(pairs: Sequence[Pair]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([sum(pair.verdicts) / len(pair.verdicts) for pair in pairs], float)


def _clusters(pairs: Sequence[Pair]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    numbers = {name: at for at, name in enumerate(dict.fromkeys(pair.session for pair in pairs))}
    return np.array([numbers[pair.session] for pair in pairs], np.int64)
