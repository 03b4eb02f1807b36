"""Comma-separated text: nothing a sender writes leaves its cell or runs in a spreadsheet."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.csv_text import file_name, lines, requests_text, text_cell
from core.window import Window

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(st.lists(texts, min_size=2, max_size=2), max_size=5))
def test_every_text_comes_back_from_its_own_cell(rows: list[list[str]]) -> None:
    assert list(csv.reader(io.StringIO(lines(rows), newline=""))) == rows


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(begin: str) -> None:
    assert text_cell(f"{begin}1+1") == f"'{begin}1+1"
    assert text_cell(f"a{begin}1") == f"a{begin}1"


def test_lines_end_and_quote_as_rfc_4180_says_and_the_unknown_is_empty() -> None:
    assert lines([["a", None, 1], ['"x"', "b,c", 0.5]]) == 'a,,1\r\n"""x""","b,c",0.5\r\n'


def test_a_file_of_no_requests_still_names_its_columns() -> None:
    (text,) = requests_text([])
    assert text.startswith("id,trace_id,span_id,started_at,") and text.count("\r\n") == 1


def test_a_file_is_called_what_it_is_whatever_a_tag_is_called() -> None:
    window = Window(datetime(2026, 10, 31, 23, tzinfo=UTC), datetime(2026, 11, 30, 23, tzinfo=UTC))
    name = file_name("attribution", ("feature", 'tag.a/"b"\n'), "day", window, "Europe/Berlin")
    assert name == "tripoint-attribution-by-feature-and-tag.a-b-by-day-from-2026-11-01-to-2026-12-01.csv"
