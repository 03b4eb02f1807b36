"""Do the statistics keep their promises? Coverage, width, false alarms and delays on real judge scores and labels.

    python -m benchmarks statistics [--only sampling] [--runs 300]

Each figure stands with its Monte-Carlo standard error, after a line that says what is asked of it. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.place import ROOT
from core.stats import bias, drift
from core.stats.estimate import Estimate, Sample, corrected_mean, judge_mean, label_mean
from core.stats.sampling import Stratum, neyman, uniform

DATA = ROOT.parent / "shared" / "data"
Floats = NDArray[np.float64]
_JUDGE, _OTHER_JUDGE = "judge:gpt-4-0314/rts", "judge:gpt-3.5-turbo-0301/rts"
_ALPHA = 0.005


def _rows(name: str) -> list[dict[str, str]]:
    with gzip.open(DATA / name, "rt") as file:
        return list(csv.DictReader(file))


class SummEval:
    """4,800 summaries: nine judges' scores and the mean of three experts, on 0 to 1."""

    def __init__(self) -> None:
        rows = _rows("summeval_llm_judges/summeval_judge_scores.csv.gz")
        judges = [name for name in rows[0] if name.startswith("judge:")]
        scores = np.array([[float(row[name] or "nan") for name in judges] for row in rows])
        scores = (np.where(np.isnan(scores), np.nanmean(scores, 0), scores) - 1) / 4
        self.judge = scores[:, judges.index(_JUDGE)]
        self.other = scores[:, judges.index(_OTHER_JUDGE)]
        self.human = (np.array([float(row["human_mean"]) for row in rows]) - 1) / 4
        self.dimension = np.array([row["dimension"] for row in rows])
        self.system = np.array([row["system"] for row in rows])
        words = np.log1p(np.array([float(row["summary_words"] or 0) for row in rows]))
        systems, dimensions = (
            (of[:, None] == np.unique(of)).astype(float) for of in (self.system, self.dimension)
        )
        self.features = np.column_stack([scores, systems, dimensions, words])


@cache
def summeval() -> SummEval:
    return SummEval()


def _share(hits: Sequence[bool]) -> str:
    share = float(np.mean(hits))
    return f"{share:.3f} ± {(share * (1 - share) / len(hits)) ** 0.5:.3f}"


def _covers(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None and estimate.high is not None
    return estimate.low <= truth <= estimate.high


def _width(estimate: Estimate) -> float:
    assert estimate.low is not None and estimate.high is not None
    return estimate.high - estimate.low


def labels(runs: int) -> None:
    """T1 Few labels: 95 % intervals that cover, narrower than the labels alone."""
    print("asked at 240 of 4,800: coverage ≥ .93, width ≤ .80 of the labels' own")
    data = summeval()
    cases = [("all", 240), *((str(name), many) for many in (60, 120) for name in np.unique(data.dimension))]
    for name, many in cases:
        rows = np.flatnonzero((data.dimension == name) | (name == "all"))
        truth, chance = float(data.human[rows].mean()), np.random.default_rng(1)
        found: dict[str, list[Estimate]] = {"labels": [], "corrected": [], "judge": []}
        for _ in range(runs):
            sample = _labelled(rows, many, chance)
            found["labels"].append(label_mean(sample, finite=True))
            found["corrected"].append(corrected_mean(sample, chance, finite=True))
            found["judge"].append(judge_mean(sample))
        own = np.mean([_width(one) for one in found["labels"]])
        words = [f"{name:12}{many:4} labels"]
        for method, estimates in found.items():
            covered = _share([_covers(one, truth) for one in estimates])
            words.append(f"{method} {covered} width {np.mean([_width(one) for one in estimates]) / own:.2f}")
        print("; ".join(words), f"({estimates[0].method} beside {found['corrected'][0].method})", flush=True)


def _labelled(rows: NDArray[np.int64], many: int, chance: np.random.Generator) -> Sample:
    data, size = summeval(), len(rows)
    given = np.full(size, np.nan)
    chosen = chance.choice(size, many, replace=False)
    given[chosen] = data.human[rows][chosen]
    return Sample(
        data.judge[rows],
        np.ones(size),
        np.arange(size),
        given,
        np.full(size, many / size),
        data.features[rows],
    )


def sampling(runs: int) -> None:
    """T2 Sampling that goes by the score, and strata by a pilot."""
    print("asked: |bias| of Hájek ≤ a tenth of the naive mean's and ≤ 2 Monte-Carlo errors, coverage ≥ .93")
    data, chance = summeval(), np.random.default_rng(2)
    truth = float(data.human.mean())
    # Answers that the judge doubts are looked at up to twenty times as often.
    wanted = 0.02 + 0.4 * (1 - data.judge) ** 2
    many = 5 * runs
    naive, hajek, covered = [], [], []
    for _ in range(many):
        seen = chance.random(len(wanted)) < wanted
        count = int(seen.sum())
        sample = Sample(
            data.human[seen], wanted[seen], np.arange(count), np.full(count, np.nan), wanted[seen]
        )
        estimate = judge_mean(sample, finite=True)
        assert estimate.value is not None
        naive.append(float(data.human[seen].mean()) - truth)
        hajek.append(estimate.value - truth)
        covered.append(_covers(estimate, truth))
    error = float(np.std(hajek)) / many**0.5
    print(
        f"quality-correlated design: naive bias {np.mean(naive):+.4f}, Hájek {np.mean(hajek):+.5f} ± {error:.5f},"
        f" coverage {_share(covered)}"
    )
    print("asked: root mean square error of Neyman from a pilot ≤ .80 of simple sampling on two dimensions")
    for name in np.unique(data.dimension):
        print(f"{name:12} {_neyman_ratio(str(name), many, chance)}")


def _neyman_ratio(name: str, runs: int, chance: np.random.Generator) -> str:
    """Strata are the judge's own scores; a pilot of 15 a stratum tells their spread; then 120 labels."""
    data = summeval()
    rows = data.dimension == name
    human, strata = data.human[rows], np.digitize(data.judge[rows], [0.51, 0.76])
    groups = [human[strata == at] for at in range(3)]
    truth, budget = float(human.mean()), 120
    errors: dict[str, list[float]] = {"neyman": [], "simple": []}
    for _ in range(runs):
        known = []
        for group in groups:
            pilot = chance.choice(group, min(15, len(group)), replace=False)
            known.append(Stratum(len(group), float(pilot.std(ddof=1)), len(pilot)))
        for method, rates in (("neyman", neyman(known, budget)), ("simple", uniform(known, budget))):
            if method == "simple":
                mean = float(chance.choice(human, budget, replace=False).mean())
            else:
                # A fixed number in each stratum, as a labelling round draws them.
                sizes = [max(2, round(rate * len(group))) for rate, group in zip(rates, groups, strict=True)]
                means = [
                    float(chance.choice(group, min(size, len(group)), replace=False).mean())
                    for size, group in zip(sizes, groups, strict=True)
                ]
                mean = sum(one * len(group) for one, group in zip(means, groups, strict=True)) / len(human)
            errors[method].append((mean - truth) ** 2)
    ratio = (np.mean(errors["neyman"]) / np.mean(errors["simple"])) ** 0.5
    spread = ratio * 0.5 * (2 / runs * 2) ** 0.5
    return f"Neyman / simple {ratio:.3f} ± {spread:.3f}"


class Pool:
    """Scores to draw from, as they are and tilted exponentially to a lower mean."""

    def __init__(self, scores: Floats) -> None:
        self.values, counts = np.unique(scores, return_counts=True)
        self.law = counts / counts.sum()
        self.mean = float(self.law @ self.values)

    def tilted(self, shift: float) -> Floats:
        """The law whose mean is lower by `shift`."""
        low, high = -60.0, 0.0
        for _ in range(100):
            middle = (low + high) / 2
            law = self.law * np.exp(middle * self.values)
            low, high = (middle, high) if law @ self.values / law.sum() < self.mean - shift else (low, middle)
        return np.asarray(law / law.sum())

    def draws(self, law: Floats, many: int, chance: np.random.Generator) -> NDArray[np.int64]:
        """Numbers of values."""
        return np.searchsorted(np.cumsum(law)[:-1], chance.random(many))


def _first_alarms(
    step: Callable[[int, NDArray[np.int64]], NDArray[np.bool_]],
    pool: Pool,
    shift: float,
    change: int,
    horizon: int,
    runs: int,
    seed: int,
) -> NDArray[np.int64]:
    """(runs,) the score at which each run first alarmed, 0 where none did up to the horizon."""
    chance = np.random.default_rng(seed)
    lower = pool.tilted(shift) if shift else pool.law
    found = np.zeros(runs, dtype=np.int64)
    for at in range(1, horizon + 1):
        alarmed = step(at, pool.draws(pool.law if at <= change else lower, runs, chance))
        found[(found == 0) & alarmed] = at
        if at > change and found.all():
            break
    return found


def _watching(pool: Pool, baseline: float | Floats, alpha: float, runs: int, mode: drift.Mode = "pfa"):  # type: ignore[no-untyped-def]
    """One step of `runs` watches beside each other; the same arithmetic as `drift.observe`."""
    baselines = np.broadcast_to(np.asarray(baseline, dtype=float), (runs,))
    bets = np.array([drift.bets_for(float(one), "fall") for one in np.unique(baselines)])
    bets = bets[np.unique(baselines, return_inverse=True)[1]]
    wealth = np.zeros_like(bets)

    def step(at: int, drawn: NDArray[np.int64]) -> NDArray[np.bool_]:
        nonlocal wealth
        factors = 1 + bets * (baselines - pool.values[drawn])[:, None]
        wealth = drift.grown(wealth, at, factors, mode)
        rest = 1 / math.log2(at + 2) if mode == "pfa" else 0.0
        return np.asarray(wealth.sum(1) + rest >= 1 / alpha)

    return step


def _oracle(pool: Pool, shift: float, threshold: float, runs: int):  # type: ignore[no-untyped-def]
    """CUSUM that knows both laws (Page 1954)."""
    ratio = np.log(pool.tilted(shift) / pool.law)
    level = np.zeros(runs)

    def step(at: int, drawn: NDArray[np.int64]) -> NDArray[np.bool_]:
        nonlocal level
        level = np.maximum(0, level + ratio[drawn])
        return np.asarray(level >= threshold)

    return step


def _oracle_threshold(pool: Pool, shift: float, looks: int, runs: int) -> float:
    """The height that 1 % of null runs reach within so many looks."""
    ratio, chance = np.log(pool.tilted(shift) / pool.law), np.random.default_rng(3)
    level, peak = np.zeros(runs), np.zeros(runs)
    for _ in range(looks):
        level = np.maximum(0, level + ratio[pool.draws(pool.law, runs, chance)])
        np.maximum(peak, level, out=peak)
    return float(np.quantile(peak, 0.99))


def drifts(runs: int) -> None:
    """T3 Drift: rare false alarms however often one looks, and soon enough."""
    looks, wide = 100_000, max(1000, runs)
    pool = Pool(summeval().judge)
    print(f"asked: ≤ 1 % false alarms in {looks:,} looks at alpha {_ALPHA}; delay ≤ 1.5 × the oracle's")
    null = _first_alarms(_watching(pool, pool.mean, _ALPHA, wide), pool, 0, looks, looks, wide, 4)
    print(f"known baseline, no change: false alarms {_share(list(null > 0))}")
    for shift in (0.05, 0.1, 0.2):
        threshold = _oracle_threshold(pool, shift, looks, wide)
        for change in (500, 5000):
            delays = {}
            for name, step in (
                ("watch", _watching(pool, pool.mean, _ALPHA, runs)),
                ("oracle", _oracle(pool, shift, threshold, runs)),
            ):
                alarms = _first_alarms(step, pool, shift, change, change + 20_000, runs, 5)
                late = alarms[alarms > change] - change
                delays[name] = (late.mean(), late.std() / len(late) ** 0.5, int((alarms <= change).sum()))
            ratio = delays["watch"][0] / delays["oracle"][0]
            print(
                f"shift {shift:.2f} at {change:>5}: delay {delays['watch'][0]:.0f} ± {delays['watch'][1]:.0f},"
                f" oracle {delays['oracle'][0]:.0f} ± {delays['oracle'][1]:.0f}, ratio {ratio:.2f}"
                f" (early {delays['watch'][2]} of {runs})",
                flush=True,
            )
    _unknown_baseline(pool, runs)


def _unknown_baseline(pool: Pool, runs: int) -> None:
    """A baseline from 2,000 reference scores: taken as it is, as a bound, or score against score."""
    chance, looks = np.random.default_rng(6), 20_000
    references = [pool.values[pool.draws(pool.law, 2000, chance)] for _ in range(runs)]
    plain = np.array([float(one.mean()) for one in references])
    bounds = np.array([drift.against_reference(list(one), "fall", _ALPHA)[0] for one in references])
    print("baseline from 2,000 scores, alpha .005 in all; false alarms in 20,000 looks, delays after 500")
    for name, baselines, alpha in (("mean as it is", plain, _ALPHA), ("lower bound", bounds, _ALPHA / 2)):
        null = _first_alarms(_watching(pool, baselines, alpha, runs), pool, 0, looks, looks, runs, 7)
        words = []
        for shift in (0.05, 0.1, 0.2):
            alarms = _first_alarms(
                _watching(pool, baselines, alpha, runs), pool, shift, 500, 500 + looks, runs, 8
            )
            late = alarms[alarms > 500] - 500
            words.append(
                f"{shift:.2f}: {late.mean():.0f}"
                + (f" ({(alarms == 0).mean():.0%} missed)" if (alarms == 0).any() else "")
            )
        print(f"{name:15} false alarms {_share(list(null > 0))}; delays {', '.join(words)}", flush=True)
    paired = _paired(pool, references, 0, 2000, runs)
    words = [
        f"{shift:.2f}: {_words(_paired(pool, references, shift, 500, runs), 500)}"
        for shift in (0.05, 0.1, 0.2)
    ]
    print(
        f"{'score by score':15} false alarms {_share(list(paired > 0))} (ends with the reference);"
        f" delays {', '.join(words)}"
    )


def _words(alarms: NDArray[np.int64], change: int) -> str:
    late = alarms[alarms > change] - change
    missed = (alarms == 0).mean()
    return f"{late.mean():.0f}" + (f" ({missed:.0%} missed)" if missed else "")


def _paired(
    pool: Pool, references: Sequence[Floats], shift: float, change: int, runs: int
) -> NDArray[np.int64]:
    """Two-sample: each new score against the next of the reference, as .5 + (new − old) / 2; ends with it."""
    matrix = np.array(references)
    bets, wealth = drift.bets_for(0.5, "fall"), np.zeros((runs, len(drift.bets_for(0.5, "fall"))))

    def step(at: int, drawn: NDArray[np.int64]) -> NDArray[np.bool_]:
        nonlocal wealth
        half = 0.5 + (pool.values[drawn] - matrix[:, at - 1]) / 2
        wealth = drift.grown(wealth, at, 1 + bets * (0.5 - half)[:, None], "pfa")
        return np.asarray(wealth.sum(1) + 1 / math.log2(at + 2) >= 1 / _ALPHA)

    return _first_alarms(step, pool, shift, change, matrix.shape[1], runs, 9)


def anchors(runs: int) -> None:
    """T4 Who drifted: a frozen anchor set that the live judge scores again."""
    print("asked: a swap of the judge found by p95 ≤ 60 anchors, no false alarm in 20,000 in ≥ 99 % of runs")
    data, chance = summeval(), np.random.default_rng(10)
    repeats = np.array(
        [
            [float(row[f"gpt4_{at}"]) for at in (1, 2, 3)]
            for row in _rows("prometheus_gpt4_repeats/gpt4_repeat_scores.csv.gz")
        ]
    )
    noise = (repeats[:, 1] - repeats[:, 0]) / 4
    noise = np.concatenate([noise, -noise])
    swap = data.other - data.judge
    # The same swap, but for a judge that differs from the old one on one answer in four.
    cases = {"GPT-4 → GPT-3.5": swap, "subtle (one in four)": np.where(np.arange(len(swap)) % 4, 0.0, swap)}
    for name, differences in cases.items():
        found = _anchors_until(differences, 2000, runs, chance)
        print(
            f"{name}: shift {differences.mean():+.3f}, anchors needed: mean {found.mean():.0f},"
            f" p95 {np.quantile(found, 0.95):.0f}"
        )
    false = _anchors_until(noise, 20_000, max(runs, 300), chance) <= 20_000
    print(f"repeats of one judge: false alarms within 20,000 {_share(list(false))}")


def _anchors_until(
    differences: Floats, horizon: int, runs: int, chance: np.random.Generator
) -> NDArray[np.int64]:
    """(runs,) anchors until either side alarms at 1 % for both together, horizon + 1 where none does."""
    bets = drift.bets_for(0.5, "fall")
    wealth = np.zeros((2, runs, len(bets)))
    found = np.full(runs, horizon + 1)
    for at in range(1, horizon + 1):
        halves = chance.choice(differences, runs) / 2
        factors = 1 - np.stack([halves, -halves])[:, :, None] * bets
        wealth = drift.grown(wealth, at, factors, "pfa")
        alarmed = (wealth.sum(2) + 1 / math.log2(at + 2)).max(0) >= 2 / 0.01
        found[(found > horizon) & alarmed] = at
        if (found <= horizon).all():
            break
    return found


def biases(runs: int) -> None:
    """T7 What a judge likes for the wrong reasons."""
    print(
        "asked: answers that differ in length alone within 1.5 points after control; verdicts that hang on the order"
    )
    chance, spreads = np.random.default_rng(11), []
    for _ in range(runs):
        groups = np.repeat(["concise", "base", "verbose"], 600)
        typical = np.repeat([80.0, 200.0, 420.0], 600)
        lengths = typical * np.exp(chance.normal(0, 0.45, len(groups)))
        quality = chance.beta(6, 2.5, len(groups))
        liked = 0.08 * np.log(lengths / 200) / np.sqrt(1 + np.log(lengths / 200) ** 2)
        scores = np.clip(quality + liked, 0, 1)
        controlled, _ = bias.length_controlled(scores, lengths, list(groups), np.arange(len(groups)))
        raw, level = ([getattr(one, name) for one in controlled.values()] for name in ("raw", "value"))
        spreads.append((max(raw) - min(raw), max(level) - min(level)))
    raw_spread, spread = np.mean(spreads, axis=0) * 100
    print(
        f"planted length effect: spread of equal answers {raw_spread:.1f} points raw, {spread:.1f} controlled"
    )
    rows = _rows("summeval_llm_judges/summeval_h2h_position.csv.gz")
    votes: dict[tuple[str, ...], dict[str, float]] = {}
    people: dict[tuple[str, ...], float] = {}
    for row in rows:
        key = (row["doc_id"], row["sys_a"], row["sys_b"], row["dimension"])
        said = {"A": 1.0, "B": 0.0, "C": 0.5}[row["gpt35_choice"]]
        votes.setdefault(key, {})[row["swapped"]] = said if row["swapped"] == "0" else 1 - said
        if row["swapped"] == "0":
            people[key] = float(row["human_1"]) - float(row["human_2"])
    pairs = [key for key in votes if len(votes[key]) == 2]
    forward, backward = (np.array([votes[key][order] for key in pairs]) for order in "01")
    truth = np.array([people[key] for key in pairs])
    result = bias.both_orders(forward, backward)
    clear = truth != 0
    right = [
        np.where(verdict[clear] == 0.5, 0.5, (verdict[clear] > 0.5) == (truth[clear] > 0)).mean()
        for verdict in (forward, backward, (forward + backward) / 2)
    ]
    print(
        f"position: {result.pairs:,} pairs, {result.flips:.1%} flip (95 % {result.flips_low:.1%} to"
        f" {result.flips_high:.1%}); agrees with people: one order {right[0]:.3f} / {right[1]:.3f}, both {right[2]:.3f}"
        " (both take the order's share out of a verdict; they do not make the judge better)"
    )


PARTS: dict[str, Callable[[int], None]] = {
    "labels": labels,
    "sampling": sampling,
    "drift": drifts,
    "anchors": anchors,
    "bias": biases,
}


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser("benchmarks.statistics", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--runs", type=int, default=300)
    chosen = parser.parse_args(arguments)
    if not DATA.exists():
        print("The data folder is not beside this checkout: the statistics were not checked on it.")
        return
    for name in chosen.only or PARTS:
        began = time.process_time()
        print(f"\n{PARTS[name].__doc__}")
        PARTS[name](chosen.runs)
        print(f"({time.process_time() - began:.0f} s of CPU)", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
