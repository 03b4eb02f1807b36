"""Every page for every reader: by axe, by keyboard, narrow, dark, empty, crowded, without scripts, elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import axe_playwright_python
import httpx
import pytest
from playwright.sync_api import Page
from sqlalchemy import Engine, text

from core.store.session import transaction
from tests.conftest import Project, Server, make_project
from tests.web.conftest import AGENT_TRACE, Opener, Watched
from tests.web.test_browser import PAGES, as_written

pytestmark = pytest.mark.browser

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
METRICS = "requests,cost,errors,latency_p50,latency_p95,ttft_p50,ttft_p95"
_CROWD = 100_000
_FILL = text("""
INSERT INTO request (project_id, day, trace_id, span_id, started_at, duration_us, ttft_us, name, source,
    source_version, native, aggregate, feature, user_key, tier, provider, request_model, operation, batch,
    uncached_input, visible_output, usage_reading, streaming, status, pricing_status, cost_pico, list_pico, state,
    counted)
SELECT u.project_id, current_date, md5(u.key::text), substr(md5('s' || u.key), 1, 16), current_date, 900000, 200000,
    'chat', 'test', '1', false, false, 'chat', u.key, 'standard', 'openai', 'gpt-4o-mini', 'chat', false,
    100, 50, 'inclusive', true, 'ok', 'priced', 1000000, 1000000, 'settled', true
FROM user_name u WHERE u.project_id = :project
""")


def findings(page: Page) -> list[tuple[str, str]]:
    """What axe finds, by rule and place. Its source is handed to the debugger, which no policy of a page's binds."""
    page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate("axe.run().then(done => done.violations)")
    return [(one["id"], node["html"][:200]) for one in found for node in one["nodes"]]


def opened(window: Watched, path: str) -> Page:
    """A page with all that can be opened open."""
    page = window.open(path)
    page.evaluate("document.querySelectorAll('details:not(.menu)').forEach(one => { one.open = true })")
    return page


@pytest.fixture(scope="module")
def crowd(server: Server, owner: Engine) -> Project:
    """A hundred thousand users with a request each, written straight into the ledger."""
    project = make_project(owner)
    with transaction(owner) as connection:
        connection.execute(
            text(
                "INSERT INTO user_name (project_id, name)"
                " SELECT :project, 'user-' || n || '@example.com' FROM generate_series(1, :many) n"
            ),
            {"project": project.id, "many": _CROWD},
        )
        connection.execute(_FILL, {"project": project.id})
        # as autovacuum would have done by the time that anybody has so many
        connection.execute(text("ANALYZE request, user_name"))
    return project


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("who", ["busy", "hostile", "project"])
def test_axe_finds_nothing(look: Opener, request: pytest.FixtureRequest, who: str, scheme: str) -> None:
    window = look(request.getfixturevalue(who), color_scheme=scheme)
    trace = {"busy": AGENT_TRACE, "hostile": "b" * 32}.get(who)
    for path in (*PAGES, "/traces/nonsense", *([f"/traces/{trace}"] if trace else [])):
        assert findings(opened(window, path)) == [], path
    window.wrong[:] = [words for words in window.wrong if "400" not in words]  # the nonsense is answered so


def test_axe_finds_nothing_in_an_open_menu_on_a_narrow_screen(look: Opener, busy: Project) -> None:
    window = look(busy, 360)
    page = window.open("/overview?tier=premium&feature=support-chat")
    for words in ("Dates", "Add a filter"):
        page.get_by_text(words, exact=True).click()
        assert findings(page) == [] and window.fits()


def test_the_overviews_numbers_are_the_apis_own(look: Opener, client: httpx.Client, busy: Project) -> None:
    page = look(busy).open("/overview?last=all")
    question = {"group_by": "tier", "metrics": METRICS}
    answer = (
        client.get("/api/v1/attribution", params=question, headers=busy.reading()).raise_for_status().json()
    )
    rows = {row["tier"]: row for row in answer["rows"]} | {"all": answer["total"]}
    assert page.locator("tr[data-tier]").count() == len(rows)
    for tier, row in rows.items():
        line = page.locator(f'tr[data-tier="{tier or ""}"]')
        assert line.locator("[data-metric=requests] a").get_attribute("title") == str(row["requests"])
        assert line.locator("[data-metric=cost] a").get_attribute("data-exact") == f"{row['cost']} USD"
        for metric in METRICS.split(",")[3:]:
            assert line.locator(f"[data-metric={metric}]").get_attribute("title") == as_written(
                metric, row[metric]
            )
        failed = line.locator("[data-metric=errors] a")
        shown = failed.get_attribute("title") if failed.count() else f"0 of {row['requests']}"
        assert shown == f"{row['errors']} of {row['requests']}"
    assert page.locator("[data-total=cost] a").get_attribute("data-exact") == f"{answer['total']['cost']} USD"
    assert page.locator("[data-total=ttft_p95]").get_attribute("title") == as_written(
        "ttft_p95", answer["total"]["ttft_p95"]
    )


@pytest.mark.parametrize("dimension", ["feature", "user", "model"])
def test_the_leading_ones_are_the_apis_and_lead_on(
    look: Opener, client: httpx.Client, busy: Project, dimension: str
) -> None:
    page = look(busy).open("/overview?last=all")
    question = {"group_by": dimension, "metrics": "requests,cost", "limit": "6"}
    rows = client.get("/api/v1/attribution", params=question, headers=busy.reading()).json()["rows"]
    card = page.locator(f"section[aria-labelledby=h-{dimension}]")
    assert card.locator("td [data-exact]").evaluate_all("all => all.map(one => one.dataset.exact)") == [
        f"{row['cost']} USD" for row in rows
    ]
    requests = card.locator("tbody tr").first.locator("td").nth(1).inner_text()
    card.locator("tbody tr").first.locator("td a").first.click()
    assert page.locator("h1").inner_text().startswith("Requests")
    assert page.locator("[data-total=requests]").inner_text() == requests


def test_the_figures_under_a_chart_are_those_that_it_draws(
    look: Opener, client: httpx.Client, busy: Project
) -> None:
    page = opened(look(busy), "/overview?last=all")
    question = {"group_by": "tier", "interval": "day", "metrics": "errors,requests"}
    rows = client.get("/api/v1/attribution", params=question, headers=busy.reading()).json()["rows"]
    days = {row["start"][:10] for row in rows}
    table = page.locator("section[aria-labelledby=h-errors] table")
    assert set(table.locator("tbody th").all_inner_texts()) == days
    points = page.locator("section[aria-labelledby=h-errors] .chart [aria-roledescription=point]")
    assert points.count() == len(rows)


@pytest.mark.parametrize(("metric", "order"), [("latency_p95", "latency"), ("ttft_p50", "ttft")])
def test_a_time_of_a_tier_leads_to_its_slowest_requests(
    look: Opener, client: httpx.Client, busy: Project, metric: str, order: str
) -> None:
    page = look(busy).open("/overview?last=all")
    page.locator(f"tr[data-tier=premium] [data-metric={metric}] a").click()
    page.wait_for_selector("#request-table")
    asked = {"tier": "premium", "order": order}
    items = client.get("/api/v1/requests", params=asked, headers=busy.reading()).json()["items"]
    links = page.locator("#request-table tbody td.time a").evaluate_all("all => all.map(one => one.hash)")
    assert links == [f"#s{item['span_id']}" for item in items]
    page = look(busy).open("/overview?last=all")
    page.locator("[data-total=latency_p50] a").click()
    assert page.url.endswith("/requests?last=all&order=latency")


def test_a_chart_says_the_exact_value_under_the_pointer(
    look: Opener, client: httpx.Client, busy: Project
) -> None:
    page = look(busy).open("/overview?last=14")
    page.locator("section[aria-labelledby=h-cost] .chart [aria-roledescription=bar]").first.hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    shown = page.locator("#vg-tooltip-element").inner_text()
    question = {"group_by": "tier", "interval": "day", "metrics": "cost"}
    rows = client.get("/api/v1/attribution", params=question, headers=busy.reading()).json()["rows"]
    assert any(f"{row['cost']} USD" in shown and row["start"][:10] in shown for row in rows)


def test_a_tier_has_one_colour_on_every_page(look: Opener, busy: Project) -> None:
    window = look(busy)
    page = window.open("/overview")
    colours = {
        name: page.locator(".legend li", has_text=name)
        .locator(".swatch")
        .evaluate("one => getComputedStyle(one).backgroundColor")
        for name in ("lightweight", "standard", "premium")
    }
    assert len(set(colours.values())) == 3
    # By cost premium leads, by requests lightweight does: the colours stay.
    for order in ("cost", "requests"):
        page = window.open(f"/attribution?group_by=tier&interval=day&order={order}")
        for name, colour in colours.items():
            bar = page.locator(f"#chart [aria-roledescription=bar][aria-label*='{name}']").first
            assert bar.evaluate("one => getComputedStyle(one).fill") == colour
    page = window.open("/attribution?group_by=tier")
    for name, colour in colours.items():
        bar = page.locator(f"#chart [aria-roledescription=bar][aria-label*='{name}']")
        assert bar.evaluate("one => getComputedStyle(one).fill") == colour


def test_a_project_with_one_request_has_a_whole_overview(
    look: Opener, server: Server, project: Project
) -> None:
    from tests.otlp import llm_span
    from tests.web.workload import send

    with server.client() as client:
        send(client, project, [llm_span(feature="only", tripoint__tier="premium")])
    page = look(project).open("/overview")
    assert page.locator("[data-total=requests]").inner_text() == "1"
    assert "No request told when its first token came." in page.locator("main").inner_text()
    assert page.locator("section[aria-labelledby=h-cost] [aria-roledescription=bar]").count() == 1


def test_quality_is_said_to_be_unknown_and_nowhere_a_number(look: Opener, busy: Project) -> None:
    page = look(busy).open("/overview")
    assert page.locator(".tiles .axis-quality").inner_text().splitlines()[:2] == ["Quality", "not judged yet"]
    assert set(page.locator("tr[data-tier] td:last-child").all_inner_texts()) == {"not judged yet"}


@pytest.mark.parametrize("path", PAGES[:4])
def test_a_filter_that_leaves_nothing_says_how_to_go_on(look: Opener, busy: Project, path: str) -> None:
    page = look(busy).open(f"{path.partition('?')[0]}?feature=nobody")
    assert page.locator("h2").inner_text() == "No requests in this window"
    page.locator(".empty").get_by_role("link", name="Remove all filters").click()
    assert page.locator(".empty").count() == 0


@pytest.mark.parametrize("path", [*PAGES, f"/traces/{AGENT_TRACE}"])
def test_every_page_works_without_scripts(look: Opener, busy: Project, path: str) -> None:
    window = look(busy, java_script_enabled=False)
    window.page.goto(window.base + path)
    assert window.page.locator("table, .waterfall").count() >= 1
    assert window.page.locator("button[data-copy]:visible").count() == 0
    if path == "/requests":
        window.page.get_by_text("Add a filter").click()
        window.page.get_by_label("Only where").select_option("tier")
        window.page.get_by_label("is", exact=True).fill("premium")
        window.page.get_by_role("button", name="Add", exact=True).click()
        assert window.page.url.endswith("/requests?tier=premium")


def test_times_are_in_the_readers_zone_and_it_is_named(look: Opener, busy: Project) -> None:
    window = look(busy, timezone_id="America/St_Johns")
    loads: list[str] = []
    window.page.on("request", lambda one: loads.append(one.url) if one.is_navigation_request() else None)
    window.page.goto(window.base + "/requests")
    window.page.wait_for_selector("html[data-zone='America/St_Johns']")
    assert "times in America/St_Johns, UTC-" in window.page.locator(".zone").inner_text()
    page = window.open(f"/traces/{AGENT_TRACE}#s{'5'.zfill(16)}")
    assert re.search(r"from 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d N[SD]T", page.locator(".tiles").inner_text())
    page.wait_for_timeout(300)
    assert len(loads) == 3  # once in UTC, once more in the zone, then the trace


def test_where_cookies_are_refused_the_page_stays_in_utc_and_does_not_loop(
    look: Opener, busy: Project
) -> None:
    window = look(busy, timezone_id="America/St_Johns")
    window.page.add_init_script(
        "Object.defineProperty(Document.prototype, 'cookie', { set() {}, get() { return ''; } })"
    )
    loads: list[str] = []
    window.page.on("request", lambda one: loads.append(one.url) if one.is_navigation_request() else None)
    page = window.open("/requests")
    page.wait_for_timeout(1000)
    assert len(loads) == 2 and page.locator(".zone").inner_text() == "times in UTC"


def test_a_table_is_copied_with_all_its_digits(look: Opener, busy: Project) -> None:
    window = look(busy, permissions=["clipboard-read", "clipboard-write"])
    page = window.open("/overview?last=all")
    page.get_by_role("button", name="Copy table").click()
    page.get_by_role("status").filter(has_text="rows copied").wait_for(state="attached")
    rows = [line.split("\t") for line in page.evaluate("navigator.clipboard.readText()").splitlines()]
    assert rows[0][:3] == ["Tier", "Requests", "Cost"] and len({len(row) for row in rows}) == 1
    exact = page.locator("tr[data-tier] [data-metric=cost] a").evaluate_all(
        "all => all.map(a => a.dataset.exact)"
    )
    assert [f"{row[2]} USD" for row in rows[1:]] == exact


def test_a_traces_id_is_copied(look: Opener, busy: Project) -> None:
    page = look(busy, permissions=["clipboard-read", "clipboard-write"]).open(f"/traces/{AGENT_TRACE}")
    page.get_by_role("button", name="Copy id").click()
    page.get_by_role("status").filter(has_text="Copied").wait_for(state="attached")
    assert page.evaluate("navigator.clipboard.readText()") == AGENT_TRACE


def test_a_trace_shows_its_route_and_only_its_requests_where_asked(look: Opener, busy: Project) -> None:
    page = look(busy).open(f"/traces/{AGENT_TRACE}")
    page.get_by_label("requests only").check()
    assert page.locator(".waterfall li:visible").count() == 7
    page.locator("summary", has_text="escalated from lightweight").first.click()
    facts = page.locator("details[open] .facts").inner_text()
    for words in ("ladder 2026-11-03", "0.31", "the lightweight answer cited no line", "Escalated from"):
        assert words in facts


def test_nothing_moves_for_who_asked_for_that(look: Opener, busy: Project) -> None:
    page = look(busy, reduced_motion="reduce").open("/overview")
    page.evaluate("delete document.querySelector('.chart').dataset.drawn")
    style = "getComputedStyle(document.querySelector('.chart'), '::before').animationName"
    assert page.evaluate(style) == "none"


def test_print_keeps_the_numbers_and_the_address_and_leaves_the_controls(look: Opener, busy: Project) -> None:
    window = look(busy, 760, color_scheme="dark")
    page = window.open("/overview?last=7")
    page.emulate_media(media="print")
    assert page.locator(".printed").inner_text() == f"Printed from {window.base}/overview?last=7"
    assert not page.locator(".segments, .menu, .top nav, button").locator("visible=true").count()
    assert page.locator("text=As of").is_visible() and page.locator(".chart svg").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    wide = "all => all.every(one => getComputedStyle(one).overflowX === 'visible')"
    assert page.locator(".scroll").evaluate_all(wide)


def test_a_chart_that_cannot_be_drawn_says_so(look: Opener, busy: Project) -> None:
    window = look(busy)
    window.page.route(
        "**/static/vega.js*", lambda route: route.fulfill(status=200, body="", content_type="text/javascript")
    )
    page = window.open("/overview")
    assert "did not load" in page.locator(".chart").first.inner_text()
    assert page.locator(".chart").first.get_attribute("data-drawn") == "failed"


@pytest.mark.slow
def test_a_hundred_thousand_users_are_a_page_like_any_other(look: Opener, crowd: Project) -> None:
    window = look(crowd, 360)
    window.page.set_default_timeout(60_000)  # other tests may have the machine to themselves
    page = window.open("/overview?last=all")
    assert (
        page.locator("section[aria-labelledby=h-user] .card-head a")
        .inner_text()
        .startswith(f"All {_CROWD:,}")
    )
    assert page.locator("section[aria-labelledby=h-user] tbody tr").count() == 6
    page = window.open("/attribution?group_by=user&last=all")
    assert f"{_CROWD:,}" in page.locator("tfoot").inner_text() and window.fits()
    page = window.open("/requests?last=all")
    page.get_by_text("Add a filter").click()
    page.get_by_label("Only where").select_option("user")
    page.wait_for_selector("#values option", state="attached")
    assert page.locator("#values option").count() == 20
