"""Which two answers may stand side by side, and what a judge is shown of them."""

from __future__ import annotations

import pytest

from core.errors import BadQuestion
from core.judging.builtin import CORRECTNESS, FAITHFULNESS, RELEVANCE
from core.judging.material import LONGEST, Material
from core.judging.pairing import RequestId, Wanted, check_pair, of_texts, side_by_side

ONE = RequestId("A" * 32, "B" * 16)


def test_texts_are_cut_as_stored_ones_are() -> None:
    material, other = of_texts(Wanted("a" * LONGEST, "b" * (LONGEST + 5), question="Why?"), RELEVANCE)
    assert material == Material("Why?", "a" * LONGEST)
    assert other == "b" * LONGEST + "\n[5 characters were left out here]"


def test_what_only_one_of_them_was_given_is_shown_to_nobody() -> None:
    first, second = Material("Why?", "x", "Be kind."), Material(" Why?\n", "y", "Be short.")
    assert side_by_side(first, second, RELEVANCE) == (Material("Why?", "x"), "y")
    same = Material("Why?", "y", "Be  kind.")
    assert side_by_side(first, same, RELEVANCE) == (first, "y")
    with pytest.raises(BadQuestion, match="faithfulness judges by the context, and that of first is not"):
        side_by_side(first, second, FAITHFULNESS)


def test_what_is_right_for_one_is_right_for_the_other() -> None:
    plain, told = Material("Why?", "x"), Material("Why?", "y", reference="So.")
    assert side_by_side(plain, told, CORRECTNESS) == (Material("Why?", "x", reference="So."), "y")
    with pytest.raises(BadQuestion, match="first has no reference, and the rubric correctness needs one"):
        side_by_side(plain, plain, CORRECTNESS)
    with pytest.raises(BadQuestion, match="correctness judges by the reference, and that of first is not"):
        side_by_side(Material("Why?", "x", reference="No."), told, CORRECTNESS)


def test_what_no_table_holds_is_shown_as_a_sign() -> None:
    first, second = Material("Why?", "a\0b\ud800"), Material("Why?", "c\0")
    assert side_by_side(first, second, RELEVANCE) == (Material("Why?", "a\ufffdb\ufffd"), "c\ufffd")


def test_ids_are_the_same_in_either_case() -> None:
    lower = RequestId("a" * 32, "b" * 16)
    assert check_pair(Wanted(ONE, RequestId("c" * 32, "b" * 16))).first == lower
    with pytest.raises(BadQuestion, match="are the same request"):
        check_pair(Wanted(ONE, lower))
