"""What the Quality page shows is what the API says of the same slice, and every number leads somewhere."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import Engine

from core.judged import AtLength
from core.pricing.price import PriceBook
from tests.conftest import Project, Server, make_project
from tests.store.judged import a_label, judged, keep_judged, keep_rubric, keep_scores
from tests.store.rows import NOON, a_request, a_score, store, table
from tests.web.conftest import Opener, cookie_of
from tests.web.judged import answers, judge_them
from web.judged import figure, words
from web.session import cookie_name


@pytest.fixture(scope="module")
def shop(owner: Engine, engine: Engine, book: PriceBook) -> Project:
    """Two weeks, judged and labelled in part."""
    project = make_project(owner)
    judge_them(engine, project, answers(engine, project, book, datetime.now(UTC), 500), 0.5)
    return project


@pytest.fixture
def pages(server: Server, owner: Engine, shop: Project) -> httpx.Client:
    return server.client(cookies={cookie_name(False): cookie_of(server, owner, shop)})


def body(client: httpx.Client, path: str) -> str:
    return " ".join(client.get(path).raise_for_status().text.split())


def test_both_means_are_the_apis(pages: httpx.Client, client: httpx.Client, shop: Project) -> None:
    (total,) = client.get("/api/v1/estimates", headers=shop.reading()).json()["total"]
    shown = body(pages, "/quality?last=all")
    assert f'data-total="corrected">{total["corrected"]["mean"]:.2f}<' in shown
    assert f'data-total="judge">{total["judge"]["mean"]:.2f}<' in shown
    assert f"{total['judge']['low']:.2f} to {total['judge']['high']:.2f}" in shown
    assert f'data-total="judged">{total["judged"]}<' in shown
    assert f"by {total['corrected']['labels']} labels" in shown


@pytest.mark.parametrize(("mean", "of"), [("corrected", "corrected"), ("raw", "judge")])
def test_the_switch_chooses_the_mean_of_every_row(
    pages: httpx.Client, client: httpx.Client, shop: Project, mean: str, of: str
) -> None:
    rows = client.get("/api/v1/estimates", params={"group_by": "tier"}, headers=shop.reading()).json()["rows"]
    shown = body(pages, f"/quality?last=all&mean={mean}")
    table = shown[shown.index('id="tier-table"') : shown.index('id="feature-table"')]
    for row in rows:
        line = next(part for part in table.split("<tr") if part.startswith(f' data-group="{row["tier"]}"'))
        assert f">{row[of]['mean']:.2f}</a>" in line and f">{row['judged']}</a>" in line, row
        assert f">{row['at_length']['mean']:.2f}<" in line
        assert f"mean={mean}" in line and f"tier={row['tier']}" in line and 'href="/requests?' in line
    assert f'mean={mean}" aria-current="true"' in shown


def test_a_row_leads_to_its_judged_requests_the_lowest_first(
    pages: httpx.Client, client: httpx.Client, shop: Project
) -> None:
    shown = body(pages, "/quality?last=all&tier=premium")
    listed = shown[shown.index('id="judged"') :]
    found = [float(value) for value in re.findall(r'<td class="num" title="([\d.]+)">', listed)]
    assert len(found) == 25 and found == sorted(found)
    trace = re.findall(r"/traces/([0-9a-f]{32})#s", listed)[0]
    (request,) = client.get(f"/api/v1/traces/{trace}", headers=shop.reading()).json()["requests"]
    assert request["tier"] == "premium"
    second = re.search(r'href="([^"]+)" rel="next"', listed)
    assert second and "26–50" in body(pages, second[1].replace("&amp;", "&").partition("#")[0])


def test_the_file_has_every_group_with_both_means(
    pages: httpx.Client, client: httpx.Client, shop: Project
) -> None:
    saved = pages.get("/quality.csv?last=all")
    lines = list(csv.DictReader(io.StringIO(saved.text)))
    rows = client.get(
        "/api/v1/estimates", params={"group_by": "tier,feature"}, headers=shop.reading()
    ).json()["rows"]
    assert {(r["tier"], r["feature"]): (r["judge"]["mean"], r["corrected"]["mean"]) for r in rows} == {
        (line["tier"], line["feature"]): (
            float(line["judge_mean"]),
            float(line["corrected_mean"]) if line["corrected_mean"] else None,
        )
        for line in lines
    }
    few = [line for line in lines if not line["corrected_mean"]]
    assert all("a corrected mean needs 30" in line["corrected_reason"] for line in few)
    over_time = pages.get("/quality.csv?last=all&interval=day&group_by=tier").text.splitlines()
    assert over_time[0].startswith("tier,start,name,requests,judged,coverage")


def test_without_labels_the_judge_stands_alone_and_the_page_says_what_is_missing(
    server: Server, owner: Engine, engine: Engine, book: PriceBook, project: Project
) -> None:
    judge_them(engine, project, answers(engine, project, book, datetime.now(UTC), 40, seed=9), 0.0001, seed=9)
    with server.client(cookies={cookie_name(False): cookie_of(server, owner, project)}) as client:
        shown = body(client, "/quality?last=all")
        assert 'data-total="corrected">not yet<' in shown and "a corrected mean needs 30 at least" in shown
        assert 'mean=raw" aria-current="true"' in shown
        assert "too few labels" in body(client, "/quality?last=all&mean=corrected")


def test_where_nothing_was_judged_the_page_says_how_to_begin(
    server: Server, owner: Engine, engine: Engine, book: PriceBook, project: Project
) -> None:
    with server.client(cookies={cookie_name(False): cookie_of(server, owner, project)}) as client:
        assert "No requests yet" in body(client, "/quality")
        store(engine, project, book, [a_request(NOON - timedelta(days=1))])
        shown = body(client, "/quality")
        assert "POST /api/v1/policies" in shown and "Look at all time" in shown
        assert client.get("/quality?mean=median").status_code == 400
        assert "Nothing was judged on" not in shown


def test_what_was_judged_on_nothing_of_the_name_is_said(pages: httpx.Client) -> None:
    assert "Nothing was judged on &#39;taste&#39;" in body(pages, "/quality?last=all&score=taste")


def test_a_trace_shows_judges_people_and_senders_apart_with_the_judges_reason(
    server: Server, owner: Engine, engine: Engine, book: PriceBook, project: Project
) -> None:
    record = a_request(NOON - timedelta(days=1))
    store(engine, project, book, [record])
    of = keep_rubric(engine, project)
    keep_judged(
        engine,
        project,
        [judged(project, of, record, {"tone": 0.5}, said={"tone": "<i>Cool</i>, though correct."})],
    )
    with server.client() as client:
        number = table(engine, project, "judging")[0]["id"]
        keep_scores(
            engine,
            project,
            [
                replace(a_score(record, "tone", 0.5), id=f"judging-{number}-tone", source="judge"),
                a_label(record, 1),
                a_score(record, "tone", 0.25, source="feedback"),
            ],
        )
        client.cookies.set(cookie_name(False), cookie_of(server, owner, project))
        shown = body(client, f"/traces/{record.trace_id}")
    tables = re.findall(r'<table data-scores="(\w+)">(.*?)</table>', shown)
    assert [kind for kind, _ in tables] == ["judged", "labels", "sent"]
    assert "&lt;i&gt;Cool&lt;/i&gt;, though correct." in tables[0][1]
    assert "0.50" in tables[0][1] and "1.00" in tables[1][1] and "0.25" in tables[2][1]


def test_a_missing_figure_is_a_dash_with_its_reason() -> None:
    assert (figure(None), words(None)) == ("–", "")
    assert (figure(AtLength(reason="too few")), words(AtLength(reason="too few"))) == ("–", "too few")
    assert words(AtLength(0.5, 0.25, 0.75)) == "0.25 to 0.75"


@pytest.mark.browser
def test_the_chart_has_a_band_and_a_point_for_every_row(look: Opener, shop: Project) -> None:
    page = look(shop).open("/quality?last=14&mean=raw")
    assert page.locator("#chart").get_attribute("data-drawn") == "true"
    rows = page.locator("#time-table tbody tr", has_not_text="too few judged").count()
    assert page.locator("#chart .mark-symbol path").count() == rows > 5
    assert page.locator("#chart .mark-area path").count() == 1
    # In the colour of the quality axis, whatever else draws in layers.
    colour = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--quality').trim()")
    line = page.locator("#chart .mark-line path").first
    assert line.get_attribute("stroke") == colour
    page.get_by_role("link", name="Corrected by people").click()
    page.wait_for_url("**mean=corrected**")
    page.locator("#tier-table tbody tr", has_text="premium").locator("[data-metric=mean] a").click()
    page.wait_for_url("**tier=premium**#judged")
    assert page.locator(".chip").inner_text().startswith("tier premium")
