"""A browser for the pages, and readers who have signed in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sqlalchemy import Engine

import launch
from tests.conftest import Project, Server, make_project
from tests.judge.conftest import endpoint as endpoint
from tests.otlp import llm_span
from tests.web.workload import agent_trace, send, two_weeks
from web.session import cookie_name

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)
AGENT_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    '"><img src=x onerror=alert(3)>',
    "javascript:alert(4)",
    "'\"&amp;{{7*7}}${alert(5)}",
    "\u202egnp.exe\u202c and שלום",
    "long-" + "x" * 100 + "-and-" + "y" * 90,
)


@dataclass
class Watched:
    """A page, and everything that it should not have done."""

    page: Page
    base: str
    wrong: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """The page at `path`, its charts drawn where it has some."""
        self.page.goto(self.base + path)
        self.page.wait_for_selector(".chart:not([data-drawn])", state="detached", timeout=15_000)
        return self.page

    def fits(self) -> bool:
        """Whether the page needs no scrolling sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium. Not for the session: while it runs, no other test could use asyncio.run()."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("Chromium is not installed; the pages were not driven in a browser.")
    if find_library("atomic") is None:
        pytest.skip(
            "libatomic is not installed, which Playwright needs; the pages were not driven in a browser."
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield browser
        browser.close()


def sign_in_url(server: Server, owner: Engine, project: Project) -> str:
    """A fresh link to the dashboard."""
    return launch.sign_in_url(server.url, owner, project.id)


def cookie_of(server: Server, owner: Engine, project: Project) -> str:
    """A session of the project."""
    with httpx.Client(trust_env=False) as client:
        client.get(sign_in_url(server, owner, project))
        return client.cookies[cookie_name(False)]


Opener = Callable[..., Watched]


@pytest.fixture
def look(chromium: Browser, server: Server, owner: Engine) -> Iterator[Opener]:
    """Opens a watched window for a project; fails the test that made a page complain, or call elsewhere."""
    opened: list[tuple[BrowserContext, Watched]] = []

    def opener(project: Project | None, width: int = 1280, **options: Any) -> Watched:
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(15_000)
        if project:
            cookie = cookie_of(server, owner, project)
            context.add_cookies([{"name": cookie_name(False), "value": cookie, "url": server.url}])
        watched = Watched(context.new_page(), server.url)
        watch(watched)
        opened.append((context, watched))
        return watched

    yield opener
    for context, watched in opened:
        context.close()
        assert watched.wrong == []


def watch(watched: Watched) -> None:
    page = watched.page
    # That a page says "please sign in" with its status is no fault of it.
    page.on(
        "console",
        lambda m: (
            watched.wrong.append(m.text) if m.type in ("error", "warning") and "401" not in m.text else None
        ),
    )
    page.on("pageerror", lambda error: watched.wrong.append(str(error)))
    page.on("dialog", lambda dialog: (watched.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda r: None if r.url.startswith(watched.base) else watched.wrong.append(r.url))


@pytest.fixture(scope="session")
def busy(server: Server, owner: Engine) -> Project:
    """Two weeks of a small product, and one agent's trace of thirty spans."""
    project, now = make_project(owner), datetime.now(UTC)
    with server.client() as client:
        send(client, project, [*two_weeks(now, 400), *agent_trace(now, AGENT_TRACE)])
    return project


@pytest.fixture(scope="session")
def hostile(server: Server, owner: Engine) -> Project:
    """Every text that a sender may choose, chosen badly; one name that is not set; one call sent twice."""
    project = make_project(owner)
    spans = [_hostile_span(text) for text in HOSTILE]
    twice = {"trace_id": "b" * 32, "feature": "twice", "gen_ai__response__id": "answer-1"}
    spans += [
        llm_span(),
        llm_span(span_id="1" * 16, **twice),
        llm_span(span_id="2" * 16, parent="1" * 16, **twice),
    ]
    scores = [
        {"trace_id": "b" * 32, "span_id": "1" * 16, "value": 0.5}
        | {"name": text[:200], "label": text[:200], "author": text[:512], "comment": text[:2000]}
        for text in HOSTILE
    ]
    with server.client() as client:
        send(client, project, spans)
        client.post("/api/v1/scores", json={"scores": scores}, headers=project.ruling()).raise_for_status()
    return project


def _hostile_span(text: str) -> dict[str, Any]:
    names = (
        "feature", "user__id", "session__id", "tripoint__tier", "tripoint__plan", "tripoint__tenant", "error__type",
        "deployment__environment", "gen_ai__response__model", "gen_ai__response__id", "gen_ai__input__messages",
        "gen_ai__output__messages", "tripoint__route__reason", "tripoint__tag__note",
    )  # fmt: skip
    span = llm_span(**dict.fromkeys(names, text))
    return span | {"name": text}


@pytest.fixture(scope="session")
def crowded(server: Server, owner: Engine) -> Project:
    """Hundreds of groups over two months."""
    project, now = make_project(owner), datetime.now(UTC)
    spans = [
        llm_span(
            feature=f"feature-{at:03d}",
            user__id=f"user-{at % 7}",
            input_tokens=10 + at * at,
            start_ns=int((now - timedelta(days=at % 60)).timestamp() * 1e9),
        )
        for at in range(300)
    ]
    with server.client() as client:
        send(client, project, spans)
    return project
