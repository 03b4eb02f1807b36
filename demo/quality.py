"""The demo's quality: two simulated judges, a simulated person who labels, and what Tripoint then finds.

All of it goes through the API, as anyone would do it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from core.errors import Unavailable
from demo.provider.judge import CHANGING, STEADY
from demo.workload import EVASIVE

_CHAT = {"feature": ["support-chat"]}
_LABELS = 120
_ANCHORS, _ANCHORS_MIN = 80, 30
_JUDGED_A_DAY = {"relevance": 90, "instructions": 60}
_PATIENCE_S = 240.0
_ALERT_PATIENCE_S = 90.0


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it: answers judged, labels given, what judging cost (US dollars), and the alerts' titles with who
    had changed."""

    judged: int
    labels: int
    cost: str
    alerts: tuple[tuple[str, str], ...]


class Client:
    """The API as an administrator."""

    def __init__(self, url: str, admin_key: str) -> None:
        self._http = httpx.Client(
            base_url=f"{url}/api/v1",
            headers={"authorization": f"Bearer {admin_key}"},
            timeout=120,
            trust_env=False,
        )

    def call(self, method: str, path: str, value: Any = None, **params: Any) -> Any:
        """The answer's JSON."""
        answer = self._http.request(method, path, json=value, params=params or None)
        if answer.status_code >= 400:
            raise Unavailable(f"Tripoint answered {answer.status_code} to {path}: {answer.text[:300]}")
        return answer.json() if answer.content else None

    def close(self) -> None:
        self._http.close()


def judge(
    url: str, admin_key: str, provider_url: str, say: Callable[[str], None], expect_alerts: bool
) -> Found:
    """Have the support bot's answers judged and labelled; wait for the alerts where there is enough to find them."""
    client = Client(url, admin_key)
    try:
        _prepare(client, provider_url)
        say(
            "Judging the support bot's answers: a simulated judge by two rubrics, a simulated person beside it"
        )
        _start(client, "relevance", STEADY, back_days=14)
        _drained(client)
        labels = _label(client)
        imported = _import_labels(client)
        # In force before anything is drawn for it, so that the anchors' first scores are those of the judge as it was.
        _start(client, "instructions", CHANGING, back_days=0)
        many = {"relevance": labels, "instructions": imported}
        sets = [_freeze(client, rubric) for rubric in many if many[rubric] >= _ANCHORS_MIN]
        _run(client, sets, rounds=2)
        _start(client, "instructions", CHANGING, back_days=14)
        _drained(client)
        _run(client, sets, rounds=2)
        state = client.call("GET", "/judging")
        alerts = _alerts(client, expect_alerts)
        judged = sum(one["scored"] for one in state["judges"])
        return Found(judged, labels + imported, state["budget"]["spent"], alerts)
    finally:
        client.close()


def _prepare(client: Client, provider_url: str) -> None:
    client.call("PUT", "/judging/budget", {"limit": "25.00"})
    known = {one["name"] for one in client.call("GET", "/judges")}
    for model in (STEADY, CHANGING):
        name = _name(model, provider_url)
        if name not in known:
            client.call(
                "POST",
                "/judges",
                {
                    "name": name,
                    "kind": "openai",
                    "model": model,
                    "base_url": f"{provider_url}/v1",
                    "provider": "simulated",
                    "at_once": 8,
                    "input_usd_per_million": "0.4",
                    "output_usd_per_million": "1.6",
                },
            )
    client.call("PUT", "/drift", {"reference": 80})


def _name(model: str, provider_url: str) -> str:
    """The provider has another port each time, and judges never change."""
    return f"{model} on port {provider_url.rpartition(':')[2]}"


def _start(client: Client, rubric: str, model: str, back_days: int) -> None:
    judges = [one["name"] for one in client.call("GET", "/judges") if one["model"] == model]
    client.call(
        "POST",
        "/policies",
        {
            "rubric": rubric,
            "judge": judges[0],
            "method": "stratified",
            "strata": ["tier"],
            "wanted_a_day": _JUDGED_A_DAY[rubric],
            "back_days": back_days,
            "filters": _CHAT,
        },
    )


def _drained(client: Client) -> Any:
    """Wait until nothing is owed: what was asked for is owed at once, in the transaction that asked."""
    began = time.monotonic()
    while True:
        state = client.call("GET", "/judging")
        owed = state["settled_not_looked_at"] + state["waiting"] + state["asked"]
        if owed == 0 or time.monotonic() - began > _PATIENCE_S:
            return state
        time.sleep(0.7)


def _label(client: Client) -> int:
    """A simulated person labels what was drawn for people: stricter than the judge with evasive answers."""
    client.call("POST", "/reviews", {"rubric": "relevance", "now": _LABELS, "second_share": 0.0})
    many = 0
    while (item := client.call("POST", "/reviews/next", rubric="relevance")["item"]) is not None:
        level = _level(item["trace_id"], poor=EVASIVE in (item["answer"] or ""))
        comment = "A simulated person's label."
        client.call("POST", f"/reviews/{item['id']}", {"levels": {"relevance": level}, "comment": comment})
        many += 1
    return many


def _import_labels(client: Client) -> int:
    """Labels of early answers from elsewhere, for anchors."""
    rows = [
        {
            "trace_id": one["trace_id"],
            "span_id": one["span_id"],
            "rubric": "instructions",
            "value": (_level(one["trace_id"], poor=False) - 1) / 4,
            "rater": "simulated person",
        }
        for one in _early(client)
    ]
    if rows:
        client.call("POST", "/labels", {"labels": rows})
    return len(rows)


def _early(client: Client) -> Iterator[dict[str, Any]]:
    page = client.call(
        "GET", "/requests", feature="support-chat", status="ok", limit=_ANCHORS, direction="asc"
    )
    yield from page["items"]


def _level(trace_id: str, *, poor: bool) -> int:
    drawn = int(hashlib.sha256(f"person/{trace_id}".encode()).hexdigest()[:8], 16) / 2**32
    if poor:
        return 1 if drawn < 0.5 else 2
    return 5 if drawn < 0.6 else 4 if drawn < 0.92 else 3


def _freeze(client: Client, rubric: str) -> int:
    made = client.call(
        "POST", "/anchors", {"name": f"{rubric} anchors", "rubric": rubric, "every": "day", "size": _ANCHORS}
    )
    return int(made["id"])


def _run(client: Client, sets: list[int], rounds: int) -> None:
    """Have the anchors judged so often: the first time is what later ones are compared with, the second tells how much
    a judge varies by itself."""
    for _ in range(rounds):
        for number in sets:
            client.call("POST", f"/anchors/{number}/run")
        _drained(client)


def _alerts(client: Client, expect: bool) -> tuple[tuple[str, str], ...]:
    """The alerts, once both changes are found, or what there is after a while."""
    began = time.monotonic()
    while True:
        found = client.call("GET", "/alerts")["items"]
        clear = all(one["who"] != "undetermined" for one in found)
        both = {"system", "judge"} <= {one["who"] for one in found}
        if not expect or (clear and both) or time.monotonic() - began > _ALERT_PATIENCE_S:
            return tuple((one["title"], one["who"]) for one in found)
        time.sleep(2)
