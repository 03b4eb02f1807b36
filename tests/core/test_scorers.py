"""Scorers that need no judge: what passes, what fails and why, and options that are refused in time."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadQuestion
from core.judging.builtin import LENGTH, REFUSAL, RELEVANCE
from core.judging.language import LANGUAGES, languages_of
from core.judging.material import Material, material_of
from core.judging.refusal import PHRASES, refusal_in
from core.judging.reply import Reply, Unreadable
from core.judging.rubric import Rubric, rubric_from_json, rubric_to_json
from core.judging.scorers import score_text

PERSON = {
    "type": "object",
    "properties": {"name": {"$ref": "#/$defs/name"}, "age": {"type": "integer"}},
    "required": ["name"],
    "$defs": {"name": {"type": "string", "pattern": "^[A-Z]"}},
}


def rubric(scorer: str, **options: Any) -> Rubric:
    return rubric_from_json({"name": "rule", "scorer": scorer, "options": options})


def said(one: Rubric, answer: str, question: str | None = None) -> tuple[float, str]:
    found = score_text(one, Material(question, answer))
    return next(iter(found.scores.values())), next(iter(found.reasons.values()))


def test_json_that_fits_its_schema_passes_and_other_json_says_where_it_does_not() -> None:
    one = rubric("json_schema", schema=PERSON)
    assert said(one, '{"name": "Ada", "age": 36}') == (1.0, "It fits the schema.")
    score, why = said(one, '{"name": "Ada", "age": "old"}')
    assert score == 0.0 and 'at age: "old" is not of type "integer"' in why
    assert said(one, '{"age": 3}')[1] == 'It does not fit the schema, "name" is a required property.'
    assert said(one, "Ada, 36")[1].startswith("It is not JSON")
    assert said(one, '{"name": NaN}')[1].startswith("It is not JSON")
    assert said(one, "[" * 50_000) == (0.0, "It is JSON that is nested too deep.")
    assert said(one, "[" * 500 + "]" * 500)[0] == 0.0


def test_a_format_is_held_to() -> None:
    one = rubric("json_schema", schema={"type": "string", "format": "date"})
    assert (said(one, '"2026-11-25"')[0], said(one, '"2026-13-25"')[0]) == (1.0, 0.0)


def test_a_fence_around_json_passes_only_where_it_was_allowed() -> None:
    fenced = '```json\n{"name": "Ada"}\n```'
    assert said(rubric("json_schema", schema=PERSON), fenced)[0] == 0.0
    assert said(rubric("json_schema", schema=PERSON, fences=True), fenced)[0] == 1.0


def test_an_answer_stored_as_messages_is_scored_by_its_text() -> None:
    stored = json.dumps([{"role": "assistant", "content": '{"name": "Ada"}'}])
    assert score_text(rubric("json_schema", schema=PERSON), material_of(None, stored)).scores == {"rule": 1.0}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (None, "is a JSON schema: an object"),
        ({"type": "strnig"}, "no valid JSON schema"),
        ({"pattern": "(?=a)b"}, "no valid JSON schema"),
        ({"$ref": "http://127.0.0.1:9/x"}, "which is not in it"),
        ({"$ref": "file:///etc/passwd"}, "which is not in it"),
        ({"$ref": "#/$defs/none"}, "which is not in it"),
        ({"$id": "http://127.0.0.1:9/x", "type": "object"}, r"uses \$id"),
        ({"items": {"$ref": "#"}}, "refers to itself by #"),
        ({"$dynamicRef": "#x"}, r"uses \$dynamicRef"),
        (
            {
                "$ref": "#/$defs/a0",
                "$defs": {
                    f"a{at}": {"anyOf": [{"$ref": f"#/$defs/a{at + 1}"}] * 2}
                    if at < 40
                    else {"type": "number"}
                    for at in range(41)
                },
            },
            "more than 2,000 parts",
        ),
        ({"enum": ["x" * 60_000]}, "longer than 50,000 characters"),
    ],
)
def test_a_schema_that_is_wrong_or_could_take_long_is_refused(schema: Any, words: str) -> None:
    started = time.monotonic()
    with pytest.raises(BadQuestion, match=words):
        rubric("json_schema", schema=schema)
    assert time.monotonic() - started < 2


def test_a_regular_expression_must_or_must_not_match() -> None:
    one = rubric("regex", must_match=[r"\bTicket #\d+", "Thank"], must_not_match="(?i)password")
    assert said(one, "Thank you. Ticket #12 is open.")[0] == 1.0
    assert said(one, "Thank you.") == (0.0, r"Nothing in it matches \bTicket #\d+.")
    assert said(one, "Thank you. Ticket #12. Your PASSWORD is x.") == (
        0.0,
        "Something in it matches (?i)password.",
    )
    assert said(rubric("regex", must_match="ticket", ignore_case=True), "TICKET")[0] == 1.0


def test_no_regular_expression_blows_up() -> None:
    started = time.monotonic()
    assert (
        said(rubric("regex", must_not_match=["(a+)+$", "(a|aa)+$", "(.*)*x"]), "a" * 59_999 + "!")[0] == 1.0
    )
    assert time.monotonic() - started < 2


def test_words_with_which_models_refuse_are_found_in_many_languages() -> None:
    refusals = {
        "en": [
            "I'm sorry, but I can't help with that.",
            "I’m sorry, but I cannot assist with that request.",
            "Unfortunately, I am unable to provide medical advice.",
            "As an AI language model, I cannot have opinions.",
            "**I must decline** this request.",
        ],
        "de": [
            "Es tut mir leid, aber dabei kann ich nicht helfen.",
            "Leider kann ich das nicht sagen. Ich kann Ihnen dabei leider nicht helfen.",
            "Ich bin leider nicht in der Lage, diese Frage zu beantworten.",
        ],
        "fr": [
            "Je suis désolé, mais je ne peux pas répondre à cette demande.",
            "En tant qu’IA, je ne peux pas donner d’avis.",
        ],
        "es": ["Lo siento, pero no puedo ayudarte con eso.", "Como modelo de lenguaje, no puedo opinar."],
        "it": ["Mi dispiace, ma non posso aiutarti."],
        "pt": ["Desculpe, não posso ajudar com isso."],
        "nl": ["Het spijt me, maar daar kan ik je niet mee helpen."],
    }
    assert set(refusals) == set(PHRASES)
    for texts in refusals.values():
        for text in texts:
            assert said(REFUSAL, text)[0] == 0.0, text


@pytest.mark.parametrize(
    "text",
    [
        "Forty-two.",
        "I'm sorry to hear that your parcel is late. It comes tomorrow.",
        "If you cannot help yourself, call us: we can.",
        "Das kann ich gern erklären.",
        "The policy says: customers who can't provide a receipt get a voucher.",
        "Je peux vous aider à changer le mot de passe.",
        "I can't provide every detail, yet here is what is known. " + "It is long. " * 100,
    ],
)
def test_an_answer_is_no_refusal(text: str) -> None:
    assert said(REFUSAL, text) == (1.0, "It does not begin as a refusal.")


def test_a_refusal_may_be_told_by_phrases_of_ones_own() -> None:
    one = rubric("refusal", phrases=["please contact an agent"], short=40)
    assert said(one, "Please  contact an agent.") == (0.0, 'It refuses: "please contact an agent".')
    assert said(one, "Please contact an agent. " * 3)[0] == 1.0
    assert refusal_in("") is None


@pytest.mark.parametrize(
    ("options", "text", "score", "why"),
    [
        ({"max_characters": 5}, "123456", 0.0, "It has 6 characters, more than 5."),
        ({"max_characters": 6}, "123456", 1.0, "6 characters, 1 words, 1 sentences"),
        ({"min_words": 3}, "two words", 0.0, "It has 2 words, fewer than 3."),
        ({"max_sentences": 2}, "One. Two! Three? ", 0.0, "It has 3 sentences, more than 2."),
        ({"min_sentences": 2, "max_sentences": 2}, "Version 3.14 is out. Try it…", 1.0, ""),
        ({"max_sentences": 2}, "今日は。元気です。はい！", 0.0, "It has 3 sentences, more than 2."),
    ],
)
def test_length_is_counted_in_characters_words_or_sentences(
    options: dict[str, int], text: str, score: float, why: str
) -> None:
    found = said(rubric("length", **options), text)
    assert found[0] == score and why in found[1]


def test_what_was_cut_is_scored_only_where_the_rest_cannot_matter() -> None:
    cut = material_of(None, json.dumps("word " * 20_000))
    assert score_text(LENGTH, cut).scores == {"length": 0.0}
    assert score_text(rubric("length", min_words=10), cut).scores == {"rule": 1.0}
    for one in (
        rubric("length", max_sentences=10),
        rubric("regex", must_match="x"),
        rubric("json_schema", schema={}),
    ):
        with pytest.raises(Unreadable, match="longer than 60,000 characters and was cut"):
            score_text(one, cut)


def test_the_language_of_an_answer_is_one_of_those_wanted_or_that_of_the_question() -> None:
    one = rubric("language", languages=["en", "de"])
    assert said(one, "Guten Tag, wie kann ich Ihnen helfen?")[0] == 1.0
    score, why = said(one, "Bonjour, je peux vous aider aujourd'hui ?")
    assert score == 0.0 and why.startswith("It is in fr (") and why.endswith("not in en or de.")
    same = rubric("language", same_as_question=True)
    assert same.inputs == ("question", "answer") and one.inputs == ("answer",)
    assert said(same, "Claro, le ayudo con mucho gusto.", "¿Me puede ayudar con mi pedido?")[0] == 1.0
    assert said(same, "Sure, I am glad to help you with it.", "¿Me puede ayudar con mi pedido?")[0] == 0.0
    assert said(rubric("language", languages=["ja"]), "こんにちは、元気ですか")[0] == 1.0
    assert (
        said(one, "Use this:\n```\nfor nombre in lista: imprimir(nombre)\n```\nThat is all you need.")[0]
        == 1.0
    )


def test_a_text_that_is_too_short_has_no_language() -> None:
    with pytest.raises(Unreadable, match="the answer has too few letters"):
        said(rubric("language", languages=["en"]), "ok 42!")
    with pytest.raises(Unreadable, match="the question has too few letters"):
        said(rubric("language", same_as_question=True), "Sure, I am glad to help you.", "?!?")


def test_the_languages_that_may_be_wanted_are_those_that_can_be_told() -> None:
    assert set(languages_of("This is an English sentence, and no more.")) - {"zxx"} == LANGUAGES


@pytest.mark.parametrize(
    ("scorer", "options", "words"),
    [
        ("length", {}, "needs a bound"),
        ("length", {"max_letters": 1}, "no option 'max_letters'. It has min_characters"),
        ("length", {"max_words": -1}, "whole number from 0"),
        ("length", {"max_words": True}, "whole number from 0"),
        ("length", {"min_words": 9, "max_words": 3}, "no answer could pass"),
        ("regex", {}, "needs must_match or must_not_match"),
        ("regex", {"must_match": "("}, r"options.must_match.0 is no regular expression of RE2 \(missing \)"),
        ("regex", {"must_match": r"(a)\1"}, "no back-references"),
        ("regex", {"must_match": ["a"] * 21}, "a list of up to 20"),
        ("regex", {"must_match": [1]}, "no text of 1 to 1,000 characters"),
        ("regex", {"must_match": "a", "ignore_case": 1}, "is true or false"),
        ("refusal", {"phrases": [""]}, "no text of 1 to 1,000"),
        ("refusal", {"short": "long"}, "options.short is the number"),
        ("language", {}, "needs either languages"),
        ("language", {"languages": ["English"]}, "ISO 639 codes"),
        ("language", {"languages": ["en"], "same_as_question": True}, "needs either languages"),
    ],
)
def test_options_that_cannot_be_used_are_told_with_what_to_do(
    scorer: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadQuestion, match=words):
        rubric(scorer, **options)


def test_a_scorers_rubric_is_read_back_as_itself() -> None:
    for one in (
        rubric("json_schema", schema=PERSON),
        rubric("regex", must_match="a"),
        rubric("refusal"),
        rubric("length", max_words=3),
        rubric("language", same_as_question=True),
    ):
        assert rubric_from_json(rubric_to_json(one)) == one


def test_an_answer_that_is_not_there_has_no_score_and_a_judges_rubric_no_scorer() -> None:
    with pytest.raises(Unreadable, match="no answer was stored with it"):
        score_text(REFUSAL, Material("q", " "))
    with pytest.raises(ValueError, match="needs a judge"):
        score_text(RELEVANCE, Material("q", "a"))


EVERY = (
    rubric("json_schema", schema=PERSON, fences=True),
    rubric("regex", must_match="a.b"),
    REFUSAL,
    LENGTH,
    rubric("language", same_as_question=True),
)


@settings(deadline=None)
@given(st.text(), st.text())
def test_every_text_has_the_same_score_twice_or_a_reason_for_none(question: str, answer: str) -> None:
    def once(one: Rubric) -> Reply | str:
        try:
            return score_text(one, Material(question, answer))
        except Unreadable as trouble:
            return trouble.reason

    for one in EVERY:
        assert once(one) == once(one)
