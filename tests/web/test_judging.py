"""What judging cost, on the pages and in the API: beside the totals, with the way to its requests."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import Engine

from core.pricing.price import PriceBook
from core.question import JUDGE_FEATURE, JUDGE_SOURCE
from tests.conftest import Project, Server
from tests.store.rows import NOON, a_request, a_score, store
from tests.web.conftest import cookie_of
from web.session import cookie_name

PAGES = ("/overview", "/attribution", "/requests")


@pytest.fixture
def judged(engine: Engine, project: Project, book: PriceBook) -> Project:
    """One request of 21 micro-dollars, and two calls to a judge of as much."""
    at = NOON - timedelta(days=1)
    own = a_request(at, feature="chat", tier="premium")
    calls = [a_request(at, source=JUDGE_SOURCE, feature=JUDGE_FEATURE) for _ in range(2)]
    store(engine, project, book, [own, *calls], scores=[a_score(own)])
    return project


def links(server: Server, owner: Engine, project: Project, path: str) -> list[tuple[str, str]]:
    """Where a page's words about judging lead to, and what they are."""
    with server.client(cookies={cookie_name(False): cookie_of(server, owner, project)}) as client:
        page = client.get(path).raise_for_status().text
    found = re.findall(r'<a data-total="judging" href="([^"]*)" title="[^"]*">(.*?)</a>', page, re.DOTALL)
    return [(html.unescape(href), " ".join(html.unescape(words).split())) for href, words in found]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_judging_cost_and_leads_there(
    server: Server, owner: Engine, judged: Project, page: str
) -> None:
    ((href, words),) = links(server, owner, judged, page)
    assert words == "+ $0.000042 for judging" and href.startswith("/requests?")
    ((_, there),) = links(server, owner, judged, href)
    assert there == "of it $0.000042 for judging"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_who_does_not_judge_says_nothing_of_it(
    server: Server, owner: Engine, engine: Engine, project: Project, book: PriceBook, page: str
) -> None:
    store(engine, project, book, [a_request(NOON - timedelta(days=1))])
    assert links(server, owner, project, page) == []


def test_a_window_with_nothing_but_judging_says_so(
    server: Server, owner: Engine, engine: Engine, project: Project, book: PriceBook
) -> None:
    judging = a_request(NOON, source=JUDGE_SOURCE, provider="acme", request_model="own")
    store(engine, project, book, [a_request(NOON - timedelta(days=3)), judging])
    for page in PAGES[1:]:
        words = [words for _, words in links(server, owner, project, f"{page}?last=1")]
        assert words == ["+ 1 call to a judge without a price"]


def test_every_answer_of_the_api_carries_it_apart(client: httpx.Client, judged: Project) -> None:
    def get(path: str) -> dict[str, object]:
        answer = client.get(f"/api/v1/{path}", headers=judged.reading())
        return dict(answer.raise_for_status().json())

    apart = {"requests": 2, "cost": "0.000042", "unpriced_requests": 0, "included": False}
    assert get("attribution?metrics=requests,cost")["judging"] == apart
    assert get("attribution?metrics=requests,cost")["total"] == {
        "requests": 1,
        "cost": "0.000021",
        "unpriced_requests": 0,
    }
    assert get("requests")["judging"] == get("quality")["judging"] == apart
    within = get(f"attribution?metrics=requests&source={JUDGE_SOURCE}")
    assert within["judging"] == apart | {"included": True}
    assert within["total"] == {"requests": 2, "unpriced_requests": 0}


def test_a_csv_leaves_judging_out_where_it_is_not_named(client: httpx.Client, judged: Project) -> None:
    def lines(path: str) -> int:
        text = client.get(f"/api/v1/{path}&format=csv", headers=judged.reading()).raise_for_status().text
        return len(text.splitlines()) - 1

    assert (lines("requests?limit=9"), lines(f"requests?source={JUDGE_SOURCE}")) == (1, 2)
    assert (lines("attribution?group_by=source"), lines("attribution?group_by=source&feature=judge")) == (
        1,
        1,
    )
