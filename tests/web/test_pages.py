"""The pages as a program sees them: headers, structure, escaping, refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser

import httpx
import pytest
from sqlalchemy import Engine

from tests.conftest import Project, Server
from tests.otlp import llm_span
from tests.web.conftest import AGENT_TRACE, HOSTILE, cookie_of, sign_in_url
from tests.web.workload import send
from web.safety import HEADERS
from web.session import cookie_name

PAGES = (
    "/overview",
    "/attribution",
    "/attribution?interval=day&group_by=feature,user",
    "/requests",
    "/api/docs",
    f"/traces/{'b' * 32}",
    "/settings/keys",
    "/settings/people",
    "/settings/account",
    "/settings/audit",
    "/projects",
)
AS_BROWSER = {"accept": "text/html"}


class Outline(HTMLParser):
    """The elements of a page with their attributes, and the text of each label."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def visitor(server: Server, owner: Engine, hostile: Project) -> Iterator[httpx.Client]:
    """Someone who signed in to the project with the worst names."""
    with server.client(cookies={cookie_name(False): cookie_of(server, owner, hostile)}) as client:
        yield client


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_one_heading_landmarks_and_no_script_or_style_of_its_own(
    visitor: httpx.Client, path: str
) -> None:
    page = Outline(visitor.get(path).raise_for_status().text)
    assert (
        len(page.all("h1"))
        == len(page.all("main"))
        == len(page.all("header"))
        == len(page.all("footer"))
        == 1
    )
    assert page.all("html")[0]["lang"] == "en"
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes), f"{tag} has a handler"
        assert "style" not in attributes and tag not in ("style", "iframe", "img", "object", "embed")
        assert tag != "script" or "src" in attributes or attributes.get("type") == "application/json"
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", PAGES)
def test_every_address_on_a_page_is_our_own(visitor: httpx.Client, path: str) -> None:
    page = Outline(visitor.get(path).text)
    for _, attributes in page.elements:
        for name in ("href", "src", "action"):
            assert re.match(r"/(?!/)|#", attributes.get(name) or "/"), attributes


@pytest.mark.parametrize("path", PAGES)
def test_every_control_has_a_label(visitor: httpx.Client, path: str) -> None:
    text = visitor.get(path).text
    unlabelled = re.sub(r"<label[ >].*?</label>", "", text, flags=re.DOTALL)
    assert not re.search(r"<(select|textarea|input(?! type=\"hidden\"))", unlabelled)


@pytest.mark.parametrize("path", PAGES)
def test_hostile_text_is_shown_and_never_markup(visitor: httpx.Client, path: str) -> None:
    text = visitor.get(path).text
    assert "<script>alert" not in text and "<img" not in text and "</script><script>" not in text
    if path.startswith("/attribution"):
        assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 1


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_filter_leads_to_its_one_request_and_back(visitor: httpx.Client, name: str) -> None:
    found = visitor.get("/requests", params={"feature": name}).raise_for_status().text
    assert 'data-total="requests">1<' in found
    (trace,) = set(re.findall(r"/traces/([0-9a-f]{32})", found))
    assert visitor.get(f"/traces/{trace}").status_code == 200


@pytest.mark.parametrize(
    "path", [*PAGES, "/sign-in", "/static/page.js", "/sign-in?token=no", "/attribution?featre=1"]
)
def test_every_answer_says_what_the_browser_may_not_do(visitor: httpx.Client, path: str) -> None:
    headers = visitor.get(path, headers=AS_BROWSER).headers
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert ("public" in headers["cache-control"]) == path.startswith("/static/")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/attribution?group_by=featre", 400, "There is no dimension"),
        ("/attribution?last=8", 400, "is not one of"),
        ("/attribution?metric=costs", 400, "There is no metric"),
        ("/attribution?order=user", 400, "needs group_by=user"),
        ("/attribution?offset=5000", 200, "There is no row 5,001: there are"),
        ("/values?dimension=featre", 400, "There is no dimension"),
        ("/traces/nonsense", 400, "32 hex digits"),
        (f"/traces/{'c' * 32}", 404, "no such trace"),
        ("/requests?cursor=nonsense", 400, "cursor"),
    ],
)
def test_a_problem_is_a_page_with_a_sentence(
    visitor: httpx.Client, path: str, status: int, words: str
) -> None:
    answer = visitor.get(path, headers=AS_BROWSER)
    assert (answer.status_code, words in answer.text) == (status, True)
    assert len(Outline(answer.text).all("h1")) == 1


def test_who_is_not_signed_in_sees_no_numbers(server: Server) -> None:
    with server.client(headers=AS_BROWSER) as client:
        for path in (
            "/",
            "/overview",
            "/attribution",
            "/requests",
            "/attribution.csv",
            "/requests.csv",
            "/values?dimension=user",
            f"/traces/{AGENT_TRACE}",
        ):
            answer = client.get(path)
            assert answer.status_code == 401 and "tripoint link" in answer.text and "$" not in answer.text


def test_a_session_of_one_project_shows_nothing_of_another(visitor: httpx.Client, busy: Project) -> None:
    assert visitor.get(f"/traces/{AGENT_TRACE}", headers=AS_BROWSER).status_code == 404
    assert "support-chat" not in visitor.get("/requests?last=all").text


def test_the_cookie_is_out_of_reach_of_scripts(server: Server, owner: Engine, project: Project) -> None:
    with server.client() as client:
        answer = client.get(sign_in_url(server, owner, project))
    assert answer.status_code == 303 and "httponly" in answer.headers["set-cookie"].lower()
    assert "samesite=lax" in answer.headers["set-cookie"].lower()


def test_the_api_page_lists_every_route_with_a_command(visitor: httpx.Client) -> None:
    text = visitor.get("/api/docs").text
    for path, methods in visitor.get("/api/openapi.json").json()["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in text
    assert text.count("curl") >= 9 and "{trace_id}&#39;" not in text


def test_a_form_with_empty_fields_moves_on_to_a_short_address(visitor: httpx.Client) -> None:
    answer = visitor.get("/attribution?last=7&from=&to=&group_by=user&group_by=&interval=&where=tier&is=a")
    assert (
        answer.status_code == 303 and answer.headers["location"] == "/attribution?last=7&group_by=user&tier=a"
    )


@pytest.mark.parametrize(
    "page", ["/attribution?group_by=user&order=user&last=all", "/requests?order=cost&last=all"]
)
def test_a_page_leads_to_its_csv_which_is_the_apis(
    visitor: httpx.Client, client: httpx.Client, hostile: Project, page: str
) -> None:
    (link,) = re.findall(r'<a href="([^"]*[.]csv[^"]*)" download', visitor.get(page).text)
    file = visitor.get(link.replace("&amp;", "&")).raise_for_status()
    assert re.search(
        r'filename="tripoint-(attribution-by-user|requests)[.]csv"', file.headers["content-disposition"]
    )
    assert file.headers["cache-control"] == "no-store"
    question = page.replace("&last=all", "&format=csv") + (
        "&metrics=requests,cost,input_tokens,output_tokens,latency_p50,latency_p95,ttft_p50,ttft_p95,errors"
        if "attribution" in page
        else ""
    )
    assert file.text == client.get(f"/api/v1{question}", headers=hostile.reading()).raise_for_status().text
    assert file.text.count("\r\n") > 8


def test_over_time_rows_stay_in_order_of_time_whatever_is_drawn_and_days_are_the_readers(
    server: Server, owner: Engine, project: Project
) -> None:
    # 19:00 UTC on the 1st is half past midnight on the 2nd in Kolkata; that day is the dearer one.
    late = round(datetime(2026, 11, 1, 19, tzinfo=UTC).timestamp()) * 1_000_000_000
    hour = 3600 * 1_000_000_000
    spans = [
        llm_span(start_ns=late, input_tokens=9_000, tripoint__feature="chat"),
        llm_span(start_ns=late - 10 * hour, input_tokens=10, tripoint__feature="chat"),
    ]
    with server.client(cookies={cookie_name(False): cookie_of(server, owner, project)}) as client:
        send(client, project, spans)
        question = "last=all&group_by=feature&interval=day&metric=cost&zone=Asia/Kolkata"
        text = client.get(f"/attribution?{question}").raise_for_status().text
        assert re.findall(r'<td class="time">(.+?)</td>', text) == ["2026-11-02", "2026-11-01"]
        assert '<option value="cost" selected>' in text
        dear = client.get(f"/attribution?{question}&order=cost&direction=asc").raise_for_status().text
        assert re.findall(r'<td class="time">(.+?)</td>', dear) == ["2026-11-01", "2026-11-02"]
        (link, *_) = re.findall(r'href="(/requests\?from=2026-11-02[^"]*)"', text)
        behind = client.get(link.replace("&amp;", "&")).raise_for_status().text
        assert '<b data-total="requests">1</b>' in behind
        assert "Started (Asia/Kolkata)" in behind and "2026-11-02 00:30:00" in behind
