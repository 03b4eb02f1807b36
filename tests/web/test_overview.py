"""The Overview's questions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.question import Answer, CostQuestion, Coverage, Row
from core.window import Window
from web.address import Address
from web.overview import overview

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ZONE = ZoneInfo("UTC")


class Asked:
    """A lens that answers one row and remembers what it was asked."""

    def __init__(self, requests: int = 4, unpriced: int = 1) -> None:
        self.questions: list[CostQuestion] = []
        self._requests, self._unpriced = requests, unpriced

    def ask(self, project_id: int, question: CostQuestion) -> Answer:
        self.questions.append(question)
        metrics = dict.fromkeys(question.metrics, 300) | {"requests": self._requests, "errors": 1}
        start = NOW.replace(hour=0) if question.interval else None
        row = Row(("a",) * len(question.group_by), start, metrics, self._unpriced)
        coverage = Coverage(self._requests, 3, self._unpriced, {}, 0, 0, 0)
        return Answer(question, NOW, [row], Row((), None, metrics, self._unpriced), coverage, 1)

    def ask_all(self, project_id: int, questions: Sequence[CostQuestion]) -> list[Answer]:
        return [self.ask(project_id, question) for question in questions]


def test_the_page_asks_six_questions_however_many_rows() -> None:
    lens = Asked()
    assert overview(lens, 1, Address(last="7"), NOW, ZONE) is not None
    assert len(lens.questions) == 6
    # Percentiles are dear: all four in one question, one in another.
    dear = sorted(sum("_p" in name for name in question.metrics) for question in lens.questions)
    assert dear == [0, 0, 0, 0, 1, 4]


def test_half_a_day_is_compared_with_half_a_day() -> None:
    lens = Asked()
    view = overview(lens, 1, Address(last="7"), NOW, ZONE)
    assert view is not None and view.before is not None
    begin = datetime(2026, 11, 18, tzinfo=UTC)
    before = next(question for question in lens.questions if not question.group_by)
    assert before.window == Window(begin - 7 * DAY, NOW - 7 * DAY)
    assert (view.before.words, view.before.cut) == ("the 7 days before", ", up to the same hour")


def test_a_period_that_is_over_is_compared_whole() -> None:
    lens = Asked()
    view = overview(lens, 1, Address(start="2026-10-01", end="2026-11-01"), NOW, ZONE)
    before = next(question for question in lens.questions if not question.group_by)
    assert before.window == Window(datetime(2026, 8, 31, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))
    assert view is not None and view.before is not None and view.before.cut == ""


def test_all_time_has_nothing_before_it() -> None:
    view = overview(Asked(), 1, Address(last="all"), NOW, ZONE)
    assert view is not None and view.before is None


def test_the_cost_of_a_request_is_over_those_with_a_price() -> None:
    view = overview(Asked(requests=4, unpriced=1), 1, Address(), NOW, ZONE)
    assert view is not None and view.total.cost_each == 100
    view = overview(Asked(requests=1, unpriced=1), 1, Address(), NOW, ZONE)
    assert view is not None and view.total.cost_each is None


def test_a_window_without_requests_has_no_overview() -> None:
    assert overview(Asked(requests=0), 1, Address(), NOW, ZONE) is None


@pytest.mark.parametrize(
    ("address", "interval"),
    [
        (Address(last="1"), "hour"),
        (Address(last="7"), "day"),
        (Address(last="90"), "day"),
        (Address(start="2026-01-01", end="2026-11-01"), "week"),
        (Address(start="2020-01-01", end="2026-01-01"), "month"),
        (Address(last="all"), "day"),
    ],
)
def test_the_interval_follows_the_length_of_the_window(address: Address, interval: str) -> None:
    lens = Asked()
    overview(lens, 1, address, NOW, ZONE)
    assert {question.interval for question in lens.questions if question.interval} == {interval}
