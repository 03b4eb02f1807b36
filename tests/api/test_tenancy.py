"""With one tenant's keys nothing of another's appears, on any route, whatever is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

import launch
from core.question import DIMENSIONS
from tests.conftest import Project, Server, make_project
from tests.otlp import attribute, body, llm_span
from web.session import cookie_name

MARK = "zqx7theirs"
TRACE, SPAN, ROOT = "7e" * 16, "7e" * 8, "7d" * 8


@dataclass(frozen=True)
class Wall:
    """Two tenants with the same trace ids; `secrets` is what only the second may see."""

    ours: Project
    theirs: Project
    client: httpx.Client
    pages: httpx.Client
    secrets: tuple[str, ...]
    words: tuple[str, ...]
    keys: tuple[int, ...]
    cursor: str

    def check(self, answer: httpx.Response) -> None:
        """Fails where the answer shows anything that the question itself did not say."""
        assert answer.status_code < 500, answer.text
        shown = answer.text
        for asked in answer.request.url.params.values():
            shown = shown.replace(asked, "")
        found = [secret for secret in self.secrets if secret in shown]
        assert not found, (answer.request.url, found)


def everything(mark: str) -> list[dict[str, Any]]:
    """Spans with the mark in every text that a sender can set."""
    named = {
        name: f"{mark} {name}"
        for name in (
            *(
                "tripoint.feature",
                "user.id",
                "session.id",
                "tripoint.tenant",
                "tripoint.plan",
                "tripoint.tier",
            ),
            *("tripoint.router", "tripoint.router.version", "tripoint.route.reason", "tripoint.cascade.id"),
            *("tripoint.escalated_from", "tripoint.fallback_from", "tripoint.tag.team", "error.type"),
            *("gen_ai.response.id", "gen_ai.response.model", "server.address", "gen_ai.input.messages"),
            *("gen_ai.output.messages", "cloud.region", "openai.response.service_tier"),
        )
    }
    root = llm_span(trace_id=TRACE, span_id=ROOT, input_tokens=None, output_tokens=None, duration_ns=10**9)
    root["attributes"] = [attribute(name, value) for name, value in named.items()]
    leaf = llm_span(
        trace_id=TRACE, span_id=SPAN, parent=ROOT, model=f"{mark}-model", provider=f"{mark}-provider"
    )
    leaf["attributes"] += root["attributes"]
    for span in (root, leaf):
        span["name"] = f"{mark} span"
    return [root, leaf]


@pytest.fixture(scope="module")
def wall(owner: Engine, server: Server) -> Iterator[Wall]:
    ours, theirs = make_project(owner), make_project(owner, f"{MARK} project")
    with server.client() as client, server.client(follow_redirects=True) as pages:
        for project, mark in ((ours, "ours"), (theirs, MARK)):
            more = [llm_span(tripoint__feature=f"{mark} {n}") for n in range(3)]
            sent = body(*everything(mark), *more, scope=f"{mark} scope", service=f"{mark} service")
            answer = client.post("/v1/traces", content=sent, headers=project.sending("application/json"))
            assert answer.json() == {}, answer.text
            words = {name: f"{mark} {name}" for name in ("name", "label", "author", "comment", "id")}
            scores = [{"trace_id": TRACE, "span_id": SPAN, "value": 0.5, **words}]
            sent = client.post("/api/v1/scores", json={"scores": scores}, headers=project.ruling())
            assert sent.json() == {"stored": 1, "known": 0}, sent.text
        client.post("/api/v1/settle", headers=theirs.ruling())
        client.post("/api/v1/keys", json={"role": "read", "name": f"{MARK} key"}, headers=theirs.ruling())
        listed = client.get("/api/v1/keys", headers=theirs.ruling()).json()
        page = client.get("/api/v1/requests?limit=2", headers=theirs.reading()).json()
        assert MARK in client.get("/api/v1/requests", headers=theirs.reading()).text
        assert pages.get(launch.sign_in_url(server.url, owner, ours.id)).status_code == 200
        yield Wall(
            ours,
            theirs,
            client,
            pages,
            secrets=(
                MARK,
                *(item["span_id"] for item in page["items"] if item["trace_id"] != TRACE),
            ),
            words=(MARK, f"{MARK} service", f"{MARK} tripoint.feature", f"{MARK} user.id"),
            keys=tuple(key["id"] for key in listed),
            cursor=page["next"],
        )


def operations(wall: Wall) -> list[tuple[str, str, list[str]]]:
    """Method, path and query parameters of every operation of the API's own description."""
    paths = wall.client.get("/api/openapi.json").json()["paths"]
    return [
        (method, path, [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"])
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]


def test_the_description_names_every_route_of_the_api(wall: Wall) -> None:
    assert {path for _, path, _ in operations(wall)} == {
        "/api/v1/attribution",
        "/api/v1/requests",
        "/api/v1/requests/{request_id}",
        "/api/v1/requests/{request_id}/cost",
        "/api/v1/traces/{trace_id}",
        "/api/v1/scores",
        "/api/v1/quality",
        "/api/v1/settle",
        "/api/v1/audit",
        "/api/v1/keys",
        "/api/v1/keys/{key_id}",
        "/api/v1/streams",
        "/api/v1/drift",
        "/api/v1/alerts",
        "/api/v1/alerts/{alert_id}",
        "/api/v1/alerts/{alert_id}/acknowledge",
        "/api/v1/alerts/{alert_id}/resolve",
        "/api/v1/anchors",
        "/api/v1/anchors/{set_id}",
        "/api/v1/anchors/{set_id}/run",
        "/api/v1/channels",
        "/api/v1/channels/{channel_id}",
        "/api/v1/rubrics",
        "/api/v1/trials",
        "/api/v1/trials/{trial}",
        "/api/v1/judges",
        "/api/v1/judges/{name}",
        "/api/v1/policies",
        "/api/v1/policies/{rubric}",
        "/api/v1/judging",
        "/api/v1/judging/budget",
        "/api/v1/requests/{request_id}/judging",
        "/api/v1/comparisons",
        "/api/v1/comparisons/{comparison_id}",
        "/api/v1/estimates",
        "/api/v1/reviews",
        "/api/v1/reviews/next",
        "/api/v1/reviews/{review_id}",
        "/api/v1/labels",
        "/api/v1/agreement",
    }


def filled(path: str, key: int = 1) -> str:
    """The path with something in each place: the request and trace that both tenants have, and first numbers."""
    known = {"request_id": f"{TRACE}-{SPAN}", "trace_id": TRACE, "key_id": str(key)}
    return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], "1"), path)


VALUES = {
    "group_by": st.lists(st.sampled_from([*DIMENSIONS, "tag.team"]), max_size=4).map(",".join),
    "interval": st.sampled_from(["", "hour", "day", "month"]),
    "limit": st.sampled_from(["1", "50", "1000"]),
    "from": st.sampled_from(["", "2020-01-01", "2027-01-01T00:00:00Z"]),
    "to": st.sampled_from(["", "2100-01-01"]),
    "metrics": st.sampled_from(["", "requests,cost,users", "reported_cost"]),
    "order": st.sampled_from(["", "cost", "requests"]),
}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_operation_shows_another_tenant(wall: Wall, data: st.DataObject) -> None:
    known = [o for o in operations(wall) if o[0] == "get" or o[1].endswith("settle")]
    method, path, names = data.draw(st.sampled_from(known))
    word = st.sampled_from([*wall.words, "ours", TRACE, SPAN])
    own = {
        "cursor": st.just(wall.cursor),
        "trace_id": st.just(TRACE),
        "unset": st.sampled_from(list(DIMENSIONS)),
    }
    chosen = data.draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) if names else []
    parameters = {name: data.draw({**VALUES, **own}.get(name, word)) for name in chosen}
    path = filled(path, wall.keys[0])
    wall.check(wall.client.request(method, path, params=parameters, headers=wall.ours.ruling()))


def test_the_same_ids_show_each_tenant_its_own(wall: Wall) -> None:
    for project, mark, other in ((wall.ours, "ours", MARK), (wall.theirs, MARK, "ours")):
        for path in (
            f"requests/{TRACE}-{SPAN}",
            f"traces/{TRACE}",
            f"requests/{TRACE}-{SPAN}/cost",
            f"scores?trace_id={TRACE}",
            "quality",
        ):
            shown = wall.client.get(f"/api/v1/{path}", headers=project.reading()).text
            assert other not in shown
            assert mark in shown or path.endswith("cost")


def test_ids_of_another_tenant_are_not_found(wall: Wall) -> None:
    answer = wall.client.get("/api/v1/requests", headers=wall.theirs.reading()).json()
    elsewhere = [item for item in answer["items"] if item["trace_id"] != TRACE]
    assert elsewhere
    for item in elsewhere:
        for path in (f"requests/{item['id']}", f"requests/{item['id']}/cost", f"traces/{item['trace_id']}"):
            answer = wall.client.get(f"/api/v1/{path}", headers=wall.ours.ruling())
            assert answer.status_code == 404
            wall.check(answer)


def test_a_cursor_of_another_tenant_leads_to_ones_own_rows(wall: Wall) -> None:
    answer = wall.client.get("/api/v1/requests", params={"cursor": wall.cursor}, headers=wall.ours.reading())
    assert answer.status_code == 200
    wall.check(answer)


def test_a_key_of_another_tenant_cannot_be_revoked(wall: Wall) -> None:
    for number in wall.keys:
        assert wall.client.delete(f"/api/v1/keys/{number}", headers=wall.ours.ruling()).status_code == 404
    listed = wall.client.get("/api/v1/keys", headers=wall.theirs.ruling()).json()
    assert [key["revoked_at"] for key in listed] == [None] * len(listed)


def test_a_session_of_the_pages_opens_no_api_and_a_key_no_page(wall: Wall) -> None:
    cookie = wall.pages.cookies[cookie_name(False)]
    answer = wall.client.get("/api/v1/attribution", headers={"authorization": f"Bearer {cookie}"})
    assert answer.status_code == 401
    with httpx.Client(base_url=wall.client.base_url, trust_env=False) as fresh:
        fresh.cookies.set(cookie_name(False), wall.theirs.admin)
        assert fresh.get("/attribution").status_code == 401


PAGES = ["/", "/attribution", "/requests", f"/traces/{TRACE}", f"/requests/{TRACE}-{SPAN}"]


def test_no_page_that_can_be_reached_shows_another_tenant(wall: Wall) -> None:
    """Every link is followed, some hundred of them, from pages that know both tenants' ids."""
    waiting, seen = [*PAGES], set[str]()
    while waiting and len(seen) < 120:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        answer = wall.pages.get(path)
        wall.check(answer)
        links = re.findall(r'(?:href|action)="(/[^"#]*)"', answer.text)
        waiting += [
            link.replace("&amp;", "&") for link in links if "static" not in link and "sign-out" not in link
        ]
    assert len(seen) > 20


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["/attribution", "/requests"]),
    dimension=st.sampled_from([*DIMENSIONS, "tag.team"]),
    value=st.sampled_from([MARK, f"{MARK} service", f"{MARK} user.id", "ours"]),
    group=st.sampled_from(list(DIMENSIONS)),
    last=st.sampled_from(["1", "90", "all"]),
)
@example(path="/attribution", dimension="user", value=f"{MARK} user.id", group="user", last="all")
def test_no_page_shows_another_tenant_whatever_is_asked(
    wall: Wall, path: str, dimension: str, value: str, group: str, last: str
) -> None:
    answer = wall.pages.get(path, params={dimension: value, "group_by": group, "last": last})
    assert answer.status_code < 500
    if value == "ours":
        wall.check(answer)
    for secret in wall.secrets[1:]:
        assert secret not in answer.text


def test_nobody_reads_without_a_key(wall: Wall) -> None:
    for method, path, _ in operations(wall):
        named = filled(path)
        for headers in ({}, {"authorization": "Bearer nonsense"}, {"authorization": f"Basic {MARK}"}):
            answer = wall.client.request(method, named, headers=headers, json={"role": "admin"})
            assert answer.status_code == 401, (method, named)
            wall.check(answer)


@pytest.mark.parametrize("key", ["ingest", "read"])
def test_a_lower_role_administers_nothing(wall: Wall, key: str) -> None:
    headers = {"authorization": f"Bearer {getattr(wall.ours, key)}"}
    tried = [("GET", "/keys"), ("POST", "/keys"), ("DELETE", f"/keys/{wall.keys[0]}"), ("POST", "/settle")]
    for method, path in tried:
        answer = wall.client.request(method, f"/api/v1{path}", headers=headers, json={"role": "admin"})
        assert answer.status_code == 403, (method, path)


def test_an_ingest_key_reads_nothing(wall: Wall) -> None:
    headers = {"authorization": f"Bearer {wall.ours.ingest}"}
    for method, path, _ in operations(wall):
        if method == "get":
            named = filled(path)
            assert wall.client.get(named, headers=headers).status_code == 403, named
