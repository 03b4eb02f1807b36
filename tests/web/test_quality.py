"""What the pages say of quality is what the API says, or that nobody scored."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import Engine

from core.pricing.price import PriceBook
from core.request import RequestRecord
from tests.conftest import Project, Server
from tests.store.rows import NOON, a_request, a_score, store
from tests.web.conftest import cookie_of
from web.session import cookie_name


@pytest.fixture
def records(engine: Engine, project: Project, book: PriceBook) -> list[RequestRecord]:
    """Two tiers: three premium requests scored by users, a lightweight one by an evaluator, one by nobody."""
    made = [a_request(NOON - timedelta(days=1, hours=n), tier="premium") for n in range(3)]
    made += [a_request(NOON - timedelta(days=1), tier=tier) for tier in ("lightweight", "standard")]
    scores = [
        a_score(r, value=v, source="feedback", comment="<b>fine")
        for r, v in zip(made, (1, 0.5, 0.9), strict=False)
    ]
    scores.append(a_score(made[3], value=0.2, source="evaluation"))
    scores.append(a_score(made[0], name="tone", value=0.3))
    store(engine, project, book, made, scores=scores)
    return made


def page(server: Server, owner: Engine, project: Project, path: str) -> str:
    with server.client(cookies={cookie_name(False): cookie_of(server, owner, project)}) as client:
        return client.get(path).raise_for_status().text


def test_the_overview_shows_the_mean_on_the_dimension_scored_most(
    server: Server, owner: Engine, project: Project, client: httpx.Client, records: list[RequestRecord]
) -> None:
    shown = " ".join(page(server, owner, project, "/overview?last=7").split())
    (mean, _) = client.get("/api/v1/quality", headers=project.reading()).json()["total"]
    assert f'data-total="quality">{mean["mean"]:.2f}<' in shown and mean["mean"] == pytest.approx(0.65)
    assert f"95 % interval {mean['low']:.2f} to {mean['high']:.2f}" in shown
    assert "mean of 4 scored requests (80%), from evaluation and feedback" in shown
    cells = dict(re.findall(r'<tr data-tier="(\w+)">.*?data-metric="quality"><span[^>]*>([^<]+)<', shown))
    assert cells == {
        "lightweight": "too few scores",
        "standard": "not judged yet",
        "premium": "0.80",
        "all": "0.65",
    }
    assert re.findall(r'data-dimension="(\w+)"', shown) == ["helpfulness", "tone"]


def test_without_a_score_no_number_stands_on_the_overview(
    server: Server, owner: Engine, project: Project, engine: Engine, book: PriceBook
) -> None:
    store(engine, project, book, [a_request(NOON - timedelta(days=1))])
    shown = page(server, owner, project, "/overview?last=7")
    assert "not judged yet" in shown and 'data-total="quality"' not in shown


def test_too_many_scores_for_a_page_are_said(
    server: Server,
    owner: Engine,
    project: Project,
    records: list[RequestRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core.store.quality.SCORED_MAX", 1)
    shown = page(server, owner, project, "/overview?last=7")
    assert "Ask for a shorter time" in shown


def test_a_trace_lists_its_scores(
    server: Server, owner: Engine, project: Project, records: list[RequestRecord]
) -> None:
    shown = page(server, owner, project, f"/traces/{records[0].trace_id}")
    assert 'id="scores"' in shown and "&lt;b&gt;fine" in shown and "<b>fine" not in shown
    assert f'href="#s{records[0].span_id}"' in shown
    assert 'id="scores"' not in page(server, owner, project, f"/traces/{records[4].trace_id}")
