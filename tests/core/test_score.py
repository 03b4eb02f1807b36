"""What a score may be, and how one is read from an evaluation result on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.conventions import scores_from_span
from core.errors import BadQuestion
from core.score import Score, check_score
from core.span import Span, SpanEvent

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9
TRACE, SPAN, PARENT = "ab" * 16, "cd" * 8, "ef" * 8


def score(**fields: Any) -> Score:
    return check_score(
        **{"trace_id": TRACE, "span_id": SPAN, "name": "helpfulness", "value": 0.5, "now": NOW, **fields}
    )


@pytest.mark.parametrize(("said", "kept"), [(True, 1.0), (False, 0.0), (0, 0.0), (1, 1.0), (0.25, 0.25)])
def test_a_value_is_a_number_from_0_to_1_or_a_boolean(said: float, kept: float) -> None:
    assert score(value=said).value == kept


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"value": 4.0}, "value=4 is outside 0 to 1. Scale it"),
        ({"value": -0.01}, "outside 0 to 1"),
        ({"value": float("nan")}, "outside 0 to 1"),
        ({"value": float("inf")}, "outside 0 to 1"),
        ({"trace_id": "xyz"}, "32 hex digits"),
        ({"trace_id": "0" * 32}, "not all zero"),
        ({"span_id": "12"}, "leave it out for the whole trace"),
        ({"name": " "}, "Name the dimension"),
        ({"name": "x" * 201}, "longer than 200 characters"),
        ({"comment": "x" * 2001}, "longer than 2000 characters"),
        ({"comment": "a\0b"}, "NUL"),
        ({"author": "\ud800"}, "whole UTF-8"),
        ({"source": "judge"}, "Use one of api, feedback, evaluation"),
        ({"recorded_at": NOW + timedelta(days=2)}, "Check the clock"),
        ({"recorded_at": datetime(1, 1, 1, tzinfo=UTC)}, "Check the clock"),
    ],
)
def test_what_is_no_score_is_refused_with_a_sentence(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadQuestion) as caught:
        score(**fields)
    assert said in str(caught.value)


def test_without_an_id_the_whole_score_with_its_time_is_the_key() -> None:
    at = NOW - timedelta(hours=1)
    assert score(recorded_at=at).id == score(recorded_at=at).id
    told = [
        score(),
        score(recorded_at=at),
        score(value=1),
        score(author="ann"),
        score(comment="no"),
        score(span_id=None),
    ]
    assert len({one.id for one in told}) == len(told)
    assert score(id="mine").id == "mine"


def span(*events: tuple[dict[str, Any], int], **fields: Any) -> Span:
    known: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_span_id": PARENT,
        "name": "chat",
        "start_ns": NOW_NS - 10**9,
        "end_ns": NOW_NS,
        "events": tuple(SpanEvent("gen_ai.evaluation.result", at, said) for said, at in events),
    }
    return Span(**{**known, **fields})


def said(value: Any = 0.8, **more: Any) -> dict[str, Any]:
    return {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": value, **more}


def test_an_evaluation_result_on_a_span_is_a_score_of_that_span() -> None:
    told = said(**{"gen_ai.evaluation.score.label": "relevant", "gen_ai.evaluation.explanation": "on topic"})
    ((found,), refused) = scores_from_span(span((told, NOW_NS - 5 * 10**8)), NOW)
    assert refused == []
    assert (found.trace_id, found.span_id, found.name, found.value) == (TRACE, SPAN, "relevance", 0.8)
    assert (found.source, found.label, found.comment) == ("evaluation", "relevant", "on topic")
    assert found.recorded_at == NOW - timedelta(seconds=0.5)


def test_an_explanation_is_left_out_where_content_is_not_kept() -> None:
    told = said(**{"gen_ai.evaluation.explanation": "on topic"})
    ((found,), _) = scores_from_span(span((told, NOW_NS)), NOW, with_comments=False)
    assert found.comment is None


def test_feedback_says_who_and_which_span_it_means() -> None:
    told = said(**{"tripoint.score.source": "feedback", "tripoint.score.author": "ann"})
    for meant, kept in ((PARENT, PARENT), ("", None)):
        ((found,), _) = scores_from_span(span((told | {"tripoint.score.span_id": meant}, NOW_NS)), NOW)
        assert (found.source, found.author, found.span_id) == ("feedback", "ann", kept)


def test_a_span_that_is_an_evaluation_result_is_about_its_parent() -> None:
    ((found,), _) = scores_from_span(span(name="gen_ai.evaluation.result", attributes=said(True)), NOW)
    assert (found.span_id, found.value) == (PARENT, 1.0)


def test_an_event_without_a_time_was_given_at_the_spans_end() -> None:
    ((found,), _) = scores_from_span(span((said(), 0)), NOW)
    assert found.recorded_at == NOW


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"gen_ai.evaluation.score.value": 1}, "it has no gen_ai.evaluation.name"),
        (said(None), "'relevance' has no number in gen_ai.evaluation.score.value"),
        (said("good"), "'relevance' has no number"),
        (said(None, **{"error.type": "timeout"}), "the evaluation failed with timeout"),
        (said(87.0), "value=87 is outside 0 to 1"),
        (said(**{"tripoint.score.span_id": "zz"}), "span_id must be 16 hex digits"),
    ],
)
def test_a_result_that_is_no_score_is_named_and_costs_no_other(told: dict[str, Any], why: str) -> None:
    (found, refused) = scores_from_span(span((told, NOW_NS), (said(), NOW_NS)), NOW)
    assert [one.value for one in found] == [0.8]
    assert len(refused) == 1 and why in refused[0]


def test_a_time_that_cannot_be_is_refused() -> None:
    assert scores_from_span(span((said(), 2**64 - 1)), NOW)[0] == []
    assert "Check the clock" in scores_from_span(span((said(), 1)), NOW)[1][0]
