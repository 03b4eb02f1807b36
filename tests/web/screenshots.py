"""The README's pictures, from generated data: `pytest tests/web/screenshots.py`. Not part of the suite."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.conftest import Project, Server, make_project
from tests.web.conftest import AGENT_TRACE, Opener
from tests.web.workload import agent_trace, send, two_weeks

pytestmark = pytest.mark.browser

_IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
_LARGEST = 300_000


@pytest.fixture(scope="session")
def product(server: Server, owner: Engine) -> Project:
    """A product with enough traffic for a picture."""
    project, now = make_project(owner, "shop"), datetime.now(UTC)
    with server.client() as client:
        send(client, project, [*two_weeks(now, 3000), *agent_trace(now, AGENT_TRACE)])
    return project


@pytest.mark.parametrize(
    ("name", "path", "height"),
    [
        ("overview", "/overview?last=7", 1230),
        ("attribution", "/attribution?last=14&interval=day", 1000),
        ("requests", "/requests?last=14&feature=support-chat", 760),
        ("trace", f"/traces/{AGENT_TRACE}", 1240),
        ("keys", "/settings/keys", 560),
    ],
)
def test_take_a_picture(look: Opener, product: Project, name: str, path: str, height: int) -> None:
    page = look(product, 1440).open(path)
    page.set_viewport_size({"width": 1440, "height": height})
    if name == "trace":
        page.locator(".waterfall summary", has_text="escalated").first.click()
        page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    _IMAGES.mkdir(parents=True, exist_ok=True)
    picture = page.screenshot(path=_IMAGES / f"{name}.png")
    assert len(picture) < _LARGEST
