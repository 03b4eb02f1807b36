"""Every page driven in Chromium. A page that complains, or calls another host, fails its test (see conftest)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import Engine

from tests.conftest import Project, Server
from tests.otlp import body, llm_span
from tests.web.conftest import AGENT_TRACE, Opener, sign_in_url

pytestmark = pytest.mark.browser

METRICS = "requests,cost,input_tokens,output_tokens,latency_p50,latency_p95,ttft_p50,ttft_p95,errors"
PAGES = (
    "/overview",
    "/attribution",
    "/attribution?interval=day&group_by=feature,tier",
    "/requests",
    "/api/docs",
)


def exact_cells(page: Page) -> list[dict[str, str]]:
    """The exact figures of each row of the table, by metric, the total last."""
    return page.eval_on_selector_all(
        "tbody tr, tfoot tr",
        """rows => rows.map(row => Object.fromEntries([["group", row.cells[0].innerText.trim()],
           ...[...row.querySelectorAll("td[data-metric]")].map(cell => [cell.dataset.metric, cell.title])]))""",
    )


def as_written(metric: str, value: Any) -> str:
    """An API's value as a cell's exact text."""
    unit = {
        "cost": " USD",
        "input_tokens": " tokens",
        "output_tokens": " tokens",
        "requests": "",
        "errors": "",
    }
    return "unknown" if value is None else f"{value}{unit.get(metric, ' ms')}"


def test_the_link_signs_in_once(chromium: Browser, server: Server, owner: Engine, busy: Project) -> None:
    url = sign_in_url(server, owner, busy)
    with chromium.new_context() as context, chromium.new_context() as elsewhere:
        page, other = context.new_page(), elsewhere.new_page()
        page.goto(url)
        assert page.url == f"{server.url}/overview" and page.title() == "Overview · Tripoint"
        other.goto(url)
        assert other.locator("h1").inner_text() == "Please sign in"
        assert "This link was used before" in other.locator(".sentence").inner_text()


def test_the_numbers_are_the_apis_own(look: Opener, client: httpx.Client, busy: Project) -> None:
    page = look(busy).open("/attribution?group_by=feature&last=all")
    question = {"group_by": "feature", "metrics": METRICS}
    answer = (
        client.get("/api/v1/attribution", params=question, headers=busy.reading()).raise_for_status().json()
    )
    shown = exact_cells(page)
    assert len(shown) == len(answer["rows"]) + 1
    for cells, row in zip(shown, [*answer["rows"], answer["total"]], strict=True):
        assert cells["group"] == row.get("feature", "Total")
        for metric in METRICS.split(","):
            assert cells[metric].partition(", without")[0] == as_written(metric, row[metric]), (row, metric)


def test_a_number_leads_down_to_its_requests_its_trace_and_its_cost_lines(
    look: Opener, busy: Project
) -> None:
    page = look(busy).open("/attribution?group_by=feature,tier&interval=week&last=30")
    row = page.locator("tbody tr", has_text="support-chat").first
    requests = row.locator("[data-metric=requests]").inner_text()
    cost = row.locator("[data-metric=cost]").get_attribute("title") or ""
    row.locator("[data-metric=cost] a").click()
    assert page.locator("h1").inner_text() == "Requests"
    assert page.locator("[data-total=requests]").inner_text() == requests
    assert (
        page.locator("[data-total=cost] [data-exact]").get_attribute("data-exact")
        == cost.partition(", without")[0]
    )
    page.locator("tbody tr", has_text="$").first.locator("a").click()
    target = page.locator("li:target")
    assert target.locator("details").get_attribute("open") is not None
    table = target.locator("table.cost")
    amounts = table.locator("tbody tr td:nth-child(5)").all_inner_texts()
    total = table.locator("tfoot td").first.inner_text()
    assert sum(map(Decimal, (text.strip() for text in amounts))) == Decimal(total.strip())


CROWDED = ("/attribution?group_by=feature&last=90", "/attribution?group_by=feature,user&interval=day&last=90")


@pytest.mark.parametrize("path", CROWDED)
def test_every_heading_sorts_and_turns_and_every_page_is_the_apis(
    look: Opener, client: httpx.Client, crowded: Project, path: str
) -> None:
    page = look(crowded).open(path)
    asked = dict(parse_qsl(path.partition("?")[2]))
    del asked["last"]
    columns = [*(["start"] if "interval" in asked else []), *asked["group_by"].split(",")]
    columns += METRICS.split(",")
    assert page.locator("#figure-table thead a").count() == len(columns)
    for at in (0, 1, columns.index("cost"), columns.index("latency_p95")):
        for _ in range(2):
            page.locator("#figure-table thead a").nth(at).click()
            page.wait_for_selector(f"#figure-table thead th:nth-child({at + 1})[aria-sort]")
            # The keyboard is still where it was.
            assert page.evaluate("document.activeElement.closest('th').cellIndex") == at
            assert page.locator("#figure-table th[aria-sort]").count() == 1
            up = page.locator("#figure-table th[aria-sort]").get_attribute("aria-sort") == "ascending"
            question = asked | {
                "metrics": METRICS,
                "order": columns[at],
                "direction": "asc" if up else "desc",
            }
            rows = client.get(
                "/api/v1/attribution", params=question | {"limit": 200}, headers=crowded.reading()
            ).json()["rows"]
            shown = exact_cells(page)[:-1]
            assert [row["cost"].partition(", without")[0] for row in shown] == [
                as_written("cost", row["cost"]) for row in rows
            ]
            assert page.locator("tbody td.name").first.inner_text() == rows[0]["feature"]
    page.get_by_role("link", name="Next rows").click()
    page.wait_for_url("**offset=200**")
    assert page.locator(".pager .note").inner_text() == "rows 201–300 of 300"
    assert page.evaluate("document.activeElement.id") == "figures"
    rows = client.get(
        "/api/v1/attribution", params=question | {"offset": 200}, headers=crowded.reading()
    ).json()["rows"]
    assert [row["cost"] for row in exact_cells(page)[:-1]] == [
        as_written("cost", row["cost"]) for row in rows
    ]
    assert page.get_by_role("link", name="Next rows").count() == 0
    page.get_by_role("link", name="Previous rows").click()
    page.locator(".pager .note", has_text="rows 1–200").wait_for()
    page.locator("#figure-table thead a").first.click()  # another order begins at the first page
    assert "offset" not in page.url


def test_what_is_drawn_stays_when_names_order_the_rows(look: Opener, busy: Project) -> None:
    page = look(busy).open("/attribution?group_by=feature&last=all&metric=latency_p95")
    assert page.locator("#drawn").inner_text() == "Latency p95 by feature"
    bars = "all => all.map(one => one.getAttribute('aria-label'))"
    drawn = page.locator("#chart [aria-roledescription=bar]").evaluate_all(bars)
    page.locator("#figure-table thead").get_by_role("link", name="feature").click()
    page.wait_for_selector("#chart[data-drawn]")
    assert page.locator("#drawn").inner_text() == "Latency p95 by feature"
    assert page.locator("#chart [aria-roledescription=bar]").evaluate_all(bars) == drawn
    names = page.locator("tbody td.name").all_inner_texts()
    assert names == sorted(names) and len(names) == 5
    page.locator("#figure-table thead").get_by_role("link", name="Requests").click()
    assert page.locator("#drawn").inner_text() == "Requests by feature"


def test_a_page_of_the_table_is_copied_with_all_its_digits(look: Opener, crowded: Project) -> None:
    window = look(crowded, permissions=["clipboard-read", "clipboard-write"])
    page = window.open("/attribution?group_by=feature&last=90&offset=200")
    page.get_by_role("button", name="Copy table").click()
    page.get_by_role("status").filter(has_text="100 rows copied").wait_for(state="attached")
    rows = [line.split("\t") for line in page.evaluate("navigator.clipboard.readText()").splitlines()]
    assert rows[0][:3] == ["feature", "Requests", "Cost"] and {len(row) for row in rows} == {11}
    assert [f"{row[2]} USD" for row in rows[1:]] == [row["cost"] for row in exact_cells(page)]


def test_a_trace_of_thirty_spans_says_where_its_money_went(
    look: Opener, client: httpx.Client, busy: Project
) -> None:
    page = look(busy).open(f"/traces/{AGENT_TRACE}")
    assert page.locator(".waterfall li").count() == 30
    requests = client.get(f"/api/v1/traces/{AGENT_TRACE}", headers=busy.reading()).json()["requests"]
    shown = page.locator(".waterfall summary [data-exact]")
    assert sorted(one.get_attribute("data-exact") or "" for one in shown.all()) == sorted(
        f"{request['cost']} USD" for request in requests
    )
    page.locator(".waterfall summary").first.click()
    opened = page.locator("details[open]")
    assert "Why is line 1" in opened.inner_text() and "Let me look up line 1" in opened.inner_text()


def test_a_call_that_was_sent_twice_counts_once_and_says_so(look: Opener, hostile: Project) -> None:
    page = look(hostile).open(f"/traces/{'b' * 32}")
    assert "1 not counted" in page.locator(".tiles").inner_text()
    page.locator("li.uncounted summary").click()
    page.get_by_text("another span").click()
    assert page.locator("li:target details").get_attribute("open") is not None


def test_the_filter_bar_keeps_its_state_in_the_address(look: Opener, busy: Project) -> None:
    page = look(busy).open("/attribution")
    page.get_by_label("Group by").select_option("user")
    page.get_by_label("and by").select_option("tier")
    page.get_by_label("Over time").select_option("day")
    page.get_by_role("combobox", name="Chart").select_option("latency_p95")
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_text("Add a filter").click()
    page.get_by_label("Only where").select_option("feature")
    page.get_by_label("is", exact=True).fill("support-chat")
    page.get_by_role("button", name="Add", exact=True).click()
    query = "group_by=user%2Ctier&interval=day&metric=latency_p95&feature=support-chat"
    assert page.url.endswith(f"/attribution?{query}")
    page.wait_for_selector("#chart[data-drawn]")
    assert page.get_by_label("and by").input_value() == "tier"
    assert page.locator("h2").first.inner_text() == "Latency p95 by user and tier, by day"
    page.get_by_label("Period").get_by_text("7 days").click()
    assert page.url.endswith(f"/attribution?last=7&{query}")
    page.get_by_role("link", name="Remove the filter feature: support-chat").click()
    assert page.url.endswith(f"last=7&{query}".removesuffix("&feature=support-chat"))
    assert page.locator(".chip").count() == 0


def test_the_filter_offers_the_leading_values_that_hold_what_was_typed(look: Opener, busy: Project) -> None:
    page = look(busy).open("/requests")
    page.get_by_text("Add a filter").click()
    page.get_by_label("Only where").select_option("user")
    page.wait_for_selector("#values option[value='ada@example.com']", state="attached")
    page.get_by_label("is", exact=True).fill("gra")
    page.wait_for_selector("#values option[value='ada@example.com']", state="detached")
    assert page.locator("#values option").get_attribute("value") == "grace@example.com"


def test_choosing_a_period_lets_go_of_the_dates(look: Opener, busy: Project) -> None:
    page = look(busy).open("/requests?from=2020-01-01&to=2020-02-01")
    assert page.locator("h2").inner_text() == "No requests in this window"
    assert page.locator(".segments [aria-current]").count() == 0
    page.get_by_label("Period").get_by_text("7 days").click()
    assert page.url.endswith("/requests?last=7") and page.locator("tbody tr").count() > 1


def test_dates_are_chosen_in_a_menu_that_escape_closes(look: Opener, busy: Project) -> None:
    page = look(busy).open("/requests?tier=premium")
    page.get_by_text("Dates", exact=True).click()
    page.keyboard.press("Escape")
    assert page.locator("details.menu[open]").count() == 0
    page.keyboard.press("Enter")
    page.get_by_label("From", exact=True).fill("2026-01-01")
    page.get_by_role("button", name="Show these dates").click()
    assert page.url.endswith("/requests?from=2026-01-01&tier=premium")


REQUEST_ORDERS = ("started", "cost", "input_tokens", "output_tokens", "ttft", "latency")


def listed(page: Page) -> list[str]:
    """The spans of the listed requests."""
    links = page.locator("#request-table tbody td.time a").evaluate_all("all => all.map(one => one.hash)")
    return [link.removeprefix("#s") for link in links]


def test_the_list_sorts_by_every_heading_and_turns_its_pages_as_the_api_does(
    look: Opener, client: httpx.Client, busy: Project
) -> None:
    page = look(busy).open("/requests?last=all")
    for order in REQUEST_ORDERS:
        for _ in range(2):
            page.locator(f"#by-{order}").click()
            page.wait_for_selector(f"#by-{order}:focus")
            page.wait_for_selector(f"th[aria-sort]:has(#by-{order})")
            up = page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
            question = {"order": order, "direction": "asc" if up else "desc", "limit": 50}
            first = client.get("/api/v1/requests", params=question, headers=busy.reading()).json()
            assert listed(page) == [item["span_id"] for item in first["items"]]
    page.locator(".pager [rel=next]").click()
    page.wait_for_url("**cursor=**")
    question |= {"cursor": first["next"]}
    second = client.get("/api/v1/requests", params=question, headers=busy.reading()).json()
    assert listed(page) == [item["span_id"] for item in second["items"]]
    assert page.evaluate("document.activeElement.id") == "list"
    page.locator(".pager [rel=prev]").click()
    page.wait_for_selector(".pager [rel=prev]", state="detached")
    assert listed(page) == [item["span_id"] for item in first["items"]]


def test_the_list_is_copied_with_all_its_digits(look: Opener, client: httpx.Client, busy: Project) -> None:
    window = look(busy, permissions=["clipboard-read", "clipboard-write"])
    page = window.open("/requests?last=all&order=cost")
    page.get_by_role("button", name="Copy table").click()
    page.get_by_role("status").filter(has_text="50 rows copied").wait_for(state="attached")
    rows = [line.split("\t") for line in page.evaluate("navigator.clipboard.readText()").splitlines()]
    items = client.get("/api/v1/requests?order=cost", headers=busy.reading()).json()["items"]
    assert [(row[1], row[7], float(row[10])) for row in rows[1:]] == [
        (item["cost"], str(item["usage"]["input_tokens"]), item["duration_ms"]) for item in items
    ]


def test_what_is_not_settled_is_marked_and_says_why(
    look: Opener, client: httpx.Client, project: Project
) -> None:
    answer = client.post("/v1/traces", content=body(llm_span()), headers=project.sending("application/json"))
    assert answer.status_code == 200
    page = look(project).open("/requests")
    mark = page.locator("tbody .note")
    assert mark.inner_text() == "provisional" and "not settled yet" in (mark.get_attribute("title") or "")
    assert client.post("/api/v1/settle", headers=project.ruling()).status_code == 200
    page.reload()
    assert page.locator("tbody tr").count() == 1 and mark.count() == 0


def test_older_requests_follow_and_the_newest_are_one_click_away(look: Opener, busy: Project) -> None:
    page = look(busy).open("/requests?last=all")
    first = page.locator("tbody a").first.get_attribute("href")
    page.get_by_role("link", name="Older requests").click()
    assert page.locator("tbody a").first.get_attribute("href") != first
    page.get_by_role("link", name="Newest").click()
    assert page.locator("tbody a").first.get_attribute("href") == first


def test_an_empty_project_says_how_to_send_a_first_trace(
    look: Opener, server: Server, project: Project
) -> None:
    for path in ("/overview", "/attribution", "/requests"):
        page = look(project).open(path)
        assert page.locator("h2").inner_text() == "No requests yet"
        assert f'tripoint.init(endpoint="{server.url}"' in page.locator("#sdk-lines").inner_text()
        assert f"OTEL_EXPORTER_OTLP_ENDPOINT={server.url}" in page.locator("#otel-lines").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("who", ["busy", "hostile", "crowded"])
def test_no_page_scrolls_sideways(
    look: Opener, request: pytest.FixtureRequest, who: str, width: int, scheme: str
) -> None:
    window = look(request.getfixturevalue(who), width, color_scheme=scheme)
    for path in PAGES:
        window.open(path)
        assert window.fits(), path
    trace = {"busy": AGENT_TRACE, "hostile": "b" * 32}.get(who)
    if trace:
        page = window.open(f"/traces/{trace}")
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert window.fits()


def test_long_and_hostile_names_stay_text(look: Opener, hostile: Project) -> None:
    window = look(hostile)
    page = window.open("/attribution")
    bars = page.locator("#chart svg [aria-roledescription=bar]")
    for at in range(bars.count()):  # the tooltip writes names too
        bars.nth(at).hover()
    links = page.eval_on_selector_all("tbody .clamp", "all => all.map(one => one.getBoundingClientRect())")
    assert all(box["height"] <= 75 and box["width"] <= 400 for box in links)
    page = window.open("/requests")
    for href in set(page.eval_on_selector_all("tbody a", "all => all.map(one => one.getAttribute('href'))")):
        window.open(href)
    page.wait_for_timeout(100)
    assert page.locator("script:not([src]):not([type='application/json'])").count() == 0


def test_the_policy_holds_in_the_browser(look: Opener, busy: Project) -> None:
    window = look(busy)
    page = window.open("/attribution")
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = 1";
            document.body.append(script);
        }"""
    )
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in words for words in window.wrong)
    window.wrong.clear()


@pytest.mark.parametrize("path", [*PAGES, f"/traces/{AGENT_TRACE}"])
def test_the_keyboard_reaches_everything_in_order(look: Opener, busy: Project, path: str) -> None:
    page = look(busy).open(path)
    # Of a group of radio buttons the chosen one is the stop; arrows reach the others.
    radios = "[type=radio]:not(:checked)"
    reachable = f"a[href], button, select, input:not([type=hidden], {radios}), summary, [tabindex='0']"
    wanted = page.eval_on_selector_all(
        reachable,
        "all => all.filter(one => one.checkVisibility()).map((one, at) => (one.dataset.tab = at, at))",
    )
    reached: list[int] = []
    for _ in range(4 * len(wanted) + 20):  # a date is several stops
        page.keyboard.press("Tab")
        at = page.evaluate("document.activeElement.dataset.tab")
        if at is None:
            break
        if not reached or reached[-1] != int(at):
            reached.append(int(at))
        if len(reached) == len(wanted):
            break
    assert reached == wanted


def test_the_skip_link_comes_first_and_skips(look: Opener, busy: Project) -> None:
    page = look(busy).open("/attribution")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Today"


def test_what_has_the_focus_can_be_seen(look: Opener, busy: Project) -> None:
    page = look(busy).open("/attribution")
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_chart_over_time_draws_every_group(look: Opener, busy: Project) -> None:
    page = look(busy).open("/attribution?interval=day&last=14")
    names = {
        bar.get_attribute("aria-label") or ""
        for bar in page.locator("#chart [aria-roledescription=bar]").all()
    }
    for feature in ("support-chat", "search-answers", "document-summary", "code-review"):
        assert any(feature in name for name in names)
    boxes = page.locator("#chart [aria-roledescription=bar]").evaluate_all(
        "all => all.map(b => b.getBBox().height)"
    )
    assert sum(height > 1 for height in boxes) > 20
