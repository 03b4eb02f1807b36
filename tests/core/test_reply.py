"""A judge's reply: read where it says one thing, unreadable with a reason where it does not."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.judging.builtin import RELEVANCE
from core.judging.material import Material
from core.judging.reply import Reply, Unreadable, read_pair, read_reply
from core.judging.rubric import rubric_from_json

TWO = rubric_from_json(
    {
        "name": "tone",
        "dimensions": [
            {"name": "warmth", "question": "Warm?", "levels": ["cold", "neutral", "warm"]},
            {"name": "clarity", "question": "Clear?", "levels": ["no", "yes"]},
        ],
    }
)
MATERIAL = Material("Six times seven?", "Forty-two.")


def verdict(level: object, confidence: object = 80, reason: str = "It fits.") -> str:
    return json.dumps(
        {"dimensions": {"relevance": {"reason": reason, "level": level}}, "confidence": confidence}
    )


def score(text: str) -> float:
    return read_reply(text, RELEVANCE, MATERIAL).scores["relevance"]


def test_a_plain_verdict_is_scores_reasons_and_confidence() -> None:
    text = (
        '{"dimensions": {"warmth": {"reason": "Kind.", "level": 3}, "clarity": {"reason": "Vague.", "level": 1}},'
        ' "confidence": 65}'
    )
    assert read_reply(text, TWO, MATERIAL) == Reply(
        {"warmth": 1.0, "clarity": 0.0}, {"warmth": "Kind.", "clarity": "Vague."}, 0.65
    )


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{verdict(4)}\n```",
        f"Let me think. {{It}} answers, I'd say.\n\n{verdict(4)}\nThat's my verdict.",
        verdict("4"),
        verdict("4/5"),
        verdict(" Level 4 "),
        verdict(4.0),
        verdict("It answers with small gaps or some padding."),
        verdict("it answers with small gaps, or some padding"),
        verdict("4 - It answers with small gaps or some padding."),
        '{"dimensions": {"relevance": {"reason": "ok", "level": 4,},}, "confidence": 80,}',
        "{'dimensions': {'relevance': {'reason': 'It says \"42\", isn\\'t it', 'level': 4}}, 'confidence': 80}",
        f'{{"evaluation": {verdict(4)}}}',
        f"{verdict(4)}\n{verdict(4, reason='Said again.')}",
        f"<think>Perhaps {verdict(2)}? No.</think>\n{verdict(4)}",
        verdict(4, reason='The text plants {"dimensions": {"relevance": {"level": 5}}} and {.'),
    ],
)
def test_the_form_is_read_kindly(text: str) -> None:
    assert score(text) == 0.75


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("I would say level 4.", "no verdict in JSON"),
        (verdict(0), "level 0 of relevance is none of 1 to 5"),
        (verdict(6), "level 6 of relevance"),
        (verdict(3.5), "level 3.5"),
        (verdict("4/10"), "level '4/10'"),
        (verdict("4 or 5"), "level '4 or 5'"),
        (verdict("5 - It answers with small gaps or some padding."), "level '5 - It"),
        (verdict(True), "level True"),
        (verdict(None), "level None"),
        (verdict([4]), r"level \[4\]"),
        (verdict(float("nan")), "not whole JSON"),
        (verdict(float("inf")), "not whole JSON"),
        (verdict("good"), "level 'good'"),
        ('{"dimensions": {}, "confidence": 80}', "no level for relevance"),
        ('{"dimensions": [4]}', "dimensions is no object"),
        ('{"dimensions": {"relevance": 4}}', "no level for relevance"),
        ('{"dimensions": {"relevance": {"level": 1, "level": 5}}}', "not whole JSON"),
        (verdict(4)[:-30], "not whole JSON"),
        (f"{verdict(4)}\nOn second thoughts: {verdict(2)}", "two verdicts that differ"),
        (f"{verdict(4)}\n{verdict(9)}", "level 9"),
        (f"{verdict(4)}\n{verdict(2)[:-5]}", "not whole JSON"),
        (f"<think>{verdict(4)}", "ends within the judge's thoughts"),
        (f"<think>Hm.</think>{verdict(4)}<think>or</think>{verdict(5)}", "two verdicts that differ"),
        (f'{{"a": {verdict(4)}, "b": {verdict(4)}}}', "not whole JSON"),
        ('{"a":' * 100_000, "100,000|500,000 characters"),
        ('{"a":' * 9_000 + "1" + "}" * 4_000, "no verdict"),
        ('{"dimensions":' * 3_000, "not whole JSON"),
        ("{" * 1_000 + verdict(4), "not whole JSON"),
        ("x" * 10_000_000, "10,000,000 characters"),
        ('{"dimensions": {"relevance": {"level": 1' + "0" * 5_000 + "}}}", "not whole JSON"),
    ],
)
def test_what_says_nothing_or_two_things_is_unreadable_with_a_reason(text: str, reason: str) -> None:
    started = time.monotonic()
    with pytest.raises(Unreadable, match=reason) as raised:
        score(text)
    assert len(raised.value.reason) < 200 and time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (80, 0.8),
        ("80", 0.8),
        ("80%", 0.8),
        (100, 1),
        (0, 0),
        (0.9, None),
        (150, None),
        (-1, None),
        ("high", None),
    ],
)
def test_a_confidence_is_known_or_it_is_not(said: object, known: float | None) -> None:
    assert read_reply(verdict(4, said), RELEVANCE, MATERIAL).confidence == known


def test_a_name_that_fits_two_levels_is_no_level() -> None:
    alike = rubric_from_json(
        {"name": "x", "dimensions": [{"name": "x", "question": "?", "levels": ["Bad", "bad!", "good"]}]}
    )
    with pytest.raises(Unreadable, match="level 'bad'"):
        read_reply('{"dimensions": {"x": {"level": "bad"}}}', alike, MATERIAL)


def test_a_winner_is_turned_back_where_the_answers_were_swapped() -> None:
    def read(winner: object, swapped: bool) -> float:
        text = json.dumps({"dimensions": {"relevance": {"reason": "", "winner": winner}}, "confidence": 50})
        return read_pair(text, RELEVANCE, MATERIAL, "Forty-one.", swapped).scores["relevance"]

    assert [read(winner, False) for winner in ("A", "B", "tie")] == [1.0, 0.0, 0.5]
    assert [read(winner, True) for winner in ("A", "B", " Tie ")] == [0.0, 1.0, 0.5]
    for winner in ("C", "both", 1, None):
        with pytest.raises(Unreadable, match="neither A nor B nor tie"):
            read(winner, False)


pieces = st.lists(
    st.text()
    | st.sampled_from(
        ['{"dimensions":', '{"relevance":', '{"level":', "5", "}", "'", '"', ",", "\\", verdict(4)]
    )
).map("".join)


@given(st.text() | pieces, st.text() | pieces)
@example("\ud800", verdict(4, reason="\ud800\0"))
def test_no_text_raises_anything_but_unreadable(text: str, judged: str) -> None:
    for read in (
        lambda: read_reply(text, RELEVANCE, Material(judged, text)),
        lambda: read_reply(judged, RELEVANCE, Material("q", text)),
        lambda: read_pair(text, RELEVANCE, Material("q", judged), text, swapped=True),
    ):
        try:
            found = read()
        except Unreadable as trouble:
            assert trouble.reason
        else:
            assert all(0 <= value <= 1 for value in found.scores.values())
            assert "\0" not in "".join(found.reasons.values()).join(found.reasons)
            "".join(found.reasons.values()).encode()
