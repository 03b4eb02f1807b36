"""The filter bar's links and forms."""

from __future__ import annotations

from web.address import Address
from web.filter_bar import kept, period_links

DEEP = Address(last="7", group_by=("user",), order="cost", offset=200, cursor="abc")


def test_another_period_begins_at_its_first_page() -> None:
    links = {words: link for words, link, _ in period_links(DEEP, "/attribution")}
    assert links["14 days"] == "/attribution?last=14&group_by=user&order=cost"


def test_a_form_carries_along_what_it_does_not_ask_anew() -> None:
    assert kept(DEEP, ("offset", "cursor")) == [("last", "7"), ("group_by", "user"), ("order", "cost")]
