"""Two answers side by side, from the API to the judge and back: who wins, and what order did."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from core.pricing.price import PriceBook
from core.request import Context
from core.store import comparisons
from core.store.session import tenant
from judge.ask import Desk, ask_all
from judge.models import HttpModel
from tests.conftest import Project
from tests.judge.conftest import add_requests, make_judge, set_budget
from tests.judge.endpoint import Endpoint, chat

SPAN = "1" * 16
GOOD, BAD = "It is in Hamburg.", "I cannot tell, please ask the carrier."
Call = Callable[..., httpx.Response]


def winner(which: str, dimension: str = "relevance") -> dict[str, Any]:
    """A judge's verdict on a pair."""
    said = {dimension: {"reason": "it says so", "winner": which}}
    return chat(json.dumps({"dimensions": said, "confidence": 80}))


def shown(body: dict[str, Any]) -> tuple[str, str]:
    """The answers A and B as the judge read them."""
    asked = body["messages"][-1]["content"]
    found = re.findall(r"⟦BEGIN answer [AB] \w+⟧\n(.*?)\n⟦END", asked, re.DOTALL)
    assert len(found) == 2
    return found[0], found[1]


def by_content(body: dict[str, Any], number: int) -> tuple[int, Any, dict[str, str]]:
    """The answer that names Hamburg wins, wherever it stands."""
    first, second = ("Hamburg" in one for one in shown(body))
    return 200, winner("tie" if first == second else "A" if first else "B"), {}


def first_shown(body: dict[str, Any], number: int) -> tuple[int, Any, dict[str, str]]:
    """What is read first wins."""
    return 200, winner("A"), {}


@pytest.fixture
def call(client: httpx.Client, project: Project) -> Call:
    """A call as the project's administrator."""

    def call(method: str, path: str, body: Any = None, of: Project = project) -> httpx.Response:
        return client.request(method, f"/api/v1/{path}", json=body, headers=of.ruling())

    return call


@pytest.fixture
def ready(call: Call, engine: Engine, project: Project, endpoint: Endpoint) -> Call:
    """The same, in a project with a judge and a hundred dollars a day."""
    make_judge(engine, project, endpoint)
    set_budget(engine, project, 100, datetime.now(UTC))
    return call


@pytest.fixture
def work(engine: Engine, endpoint: Endpoint) -> Callable[[], int]:
    """The worker's part, once, for all projects; returns how often this test's own endpoint was asked."""
    desk = Desk(engine, HttpModel({}), lambda: PriceBook(()), lambda: datetime.now(UTC), random.Random(5))

    def once() -> int:
        before = len(endpoint.calls)
        ask_all(desk)
        return len(endpoint.calls) - before

    return once


def texts(first: str = GOOD, second: str = BAD, at: int = 0, **more: Any) -> dict[str, Any]:
    return {"question": f"Where is parcel {at}?", "first": first, "second": second} | more


def wanted(*pairs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "small or large", "rubric": "relevance", "judge": "tiny", "pairs": list(pairs)} | more


def test_a_judge_that_prefers_what_it_reads_first_flips_every_pair_and_nobody_wins(
    ready: Call, endpoint: Endpoint, work: Callable[[], int]
) -> None:
    endpoint.respond = first_shown
    begun = ready("POST", "comparisons", wanted(*(texts(at=at) for at in range(6))))
    assert begun.status_code == 202, begun.text
    assert (begun.json()["waiting"], begun.json()["done"]) == (12, False)
    assert begun.json()["dimensions"][0]["win_rate"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "0 pairs of 0 sessions: a rate with an interval needs 2 sessions.",
    }
    assert work() == 12
    found = ready("GET", f"comparisons/{begun.json()['id']}").json()
    (told,) = found["dimensions"]
    assert (found["waiting"], found["scored"], found["failed"], found["done"]) == (0, 12, 0, True)
    # 12 calls of 100 tokens at 2 and 10 at 8 dollars a million.
    assert (found["cost"], found["method"][:10]) == ("0.00336", "Each pair ")
    assert (told["dimension"], told["n"], told["sessions"], told["ties"]) == ("relevance", 6, 6, 0)
    assert told["win_rate"]["value"] == 0.5 and "no interval" in told["win_rate"]["reason"]
    # Wilson's interval of 6 of 6.
    assert told["flip_rate"] | {"low": round(told["flip_rate"]["low"], 4)} == {
        "value": 1.0,
        "low": 0.6097,
        "high": 1.0,
        "reason": None,
    }
    assert told["win_rate_at_equal_length"]["value"] is None
    assert "needs 20 at least" in told["win_rate_at_equal_length"]["reason"]


def test_a_judge_that_goes_by_content_never_flips(
    ready: Call, endpoint: Endpoint, work: Callable[[], int]
) -> None:
    endpoint.respond = by_content
    pairs = [texts(GOOD, BAD, at) for at in range(24)] + [texts(BAD, GOOD, at) for at in range(24, 36)]
    pairs += [texts(GOOD, f"{GOOD} Really, {'it is ' * at}there.", at) for at in range(36, 40)]
    begun = ready("POST", "comparisons", wanted(*pairs, first_label="small", second_label="large")).json()
    work()
    found = ready("GET", f"comparisons/{begun['id']}").json()
    (told,) = found["dimensions"]
    assert (found["first_label"], found["second_label"], found["scored"]) == ("small", "large", 80)
    assert (told["n"], told["ties"], told["flip_rate"]["value"]) == (40, 4, 0.0)
    wins = told["win_rate"]
    # 24 won, 12 lost and 4 ties; the half width is t of 39 times the standard error.
    assert wins["value"] == pytest.approx(26 / 40)
    error = ((24 * 0.35**2 + 12 * 0.65**2 + 4 * 0.15**2) / 39 / 40) ** 0.5
    assert wins["high"] - wins["low"] == pytest.approx(2 * 2.0227 * error, rel=1e-3)
    level = told["win_rate_at_equal_length"]
    assert (level["reason"] is None) == (level["value"] is not None)


def test_each_pair_is_asked_in_both_orders_and_shown_nowhere_as_a_score(
    ready: Call, engine: Engine, project: Project, endpoint: Endpoint, work: Callable[[], int]
) -> None:
    endpoint.respond = by_content
    context = "System message:\nBe kind."
    ready("POST", "comparisons", wanted(texts(context=context))).raise_for_status()
    work()
    assert sorted(shown(one) for one in endpoint.calls) == sorted([(GOOD, BAD), (BAD, GOOD)])
    assert all("Where is parcel 0?" in one["messages"][-1]["content"] for one in endpoint.calls)
    assert all("Be kind." in one["messages"][-1]["content"] for one in endpoint.calls)
    with tenant(engine, project.id) as connection:
        rows = connection.execute(text("SELECT * FROM judging ORDER BY repeat")).all()
        assert connection.execute(text("SELECT count(*) FROM score")).scalar_one() == 0
    assert [(row.purpose, row.repeat, row.chance, row.scores) for row in rows] == [
        ("pair", 0, 1.0, {"relevance": 1.0}),
        ("pair", 1, 1.0, {"relevance": 1.0}),
    ]
    assert {row.turn for row in rows} == {2.0} and {row.policy_id for row in rows} == {None}


def stored(engine: Engine, project: Project, name: str, session: str) -> dict[str, str]:
    """A stored request that asked where parcel item-0 is."""
    (trace,) = add_requests(
        engine, project, 1, datetime.now(UTC), name, context=Context(feature=name, session=session)
    )
    return {"trace_id": trace, "span_id": SPAN}


def test_stored_requests_are_compared_by_their_text_as_it_was_even_once_it_is_gone(
    ready: Call,
    owner: Engine,
    engine: Engine,
    project: Project,
    endpoint: Endpoint,
    work: Callable[[], int],
) -> None:
    endpoint.respond = by_content
    small, large = (stored(engine, project, name, "one session") for name in ("small", "large"))
    third = stored(engine, project, "third", "one session")
    # The same request may stand first more than once.
    pairs = [{"first": small, "second": large}, {"first": small, "second": third}]
    begun = ready("POST", "comparisons", wanted(*pairs))
    assert begun.status_code == 202, begun.text
    with owner.begin() as connection:
        connection.execute(text("DELETE FROM content WHERE project_id = :id"), {"id": project.id})
    assert work() == 4
    found = ready("GET", f"comparisons/{begun.json()['id']}").json()
    (told,) = found["dimensions"]
    assert (found["scored"], told["n"], told["sessions"], told["ties"]) == (4, 2, 1, 2)
    assert told["win_rate"]["reason"] == "2 pairs of 1 sessions: a rate with an interval needs 2 sessions."
    assert shown(endpoint.calls[0])[0] == "Parcel item-0 is in Hamburg."
    with tenant(engine, project.id) as connection:
        (kept,) = connection.execute(text("SELECT pairs FROM comparison")).scalars()
        rows = connection.execute(text("SELECT DISTINCT trace_id, span_id FROM judging")).all()
    assert kept[0] == {
        "first": f"{small['trace_id']}-{SPAN}",
        "second": f"{large['trace_id']}-{SPAN}",
        "session": "one session",
        "lengths": [28, 28],
    }
    assert rows == [(small["trace_id"], SPAN)]
    repeated = ready("POST", "comparisons", wanted(*pairs))
    assert repeated.status_code == 400
    assert repeated.json()["detail"].startswith("pairs.0: The prompt and answer of first, ")


def test_half_a_pair_does_not_count_and_its_reason_is_told(
    ready: Call, endpoint: Endpoint, work: Callable[[], int]
) -> None:
    def respond(body: dict[str, Any], number: int) -> tuple[int, Any, dict[str, str]]:
        first, _ = shown(body)
        refused = "parcel 1?" in body["messages"][-1]["content"] and first == BAD
        return (400, {"error": {"message": "no"}}, {}) if refused else by_content(body, number)

    endpoint.respond = respond
    begun = ready("POST", "comparisons", wanted(*(texts(at=at) for at in range(3)))).json()
    work()
    found = ready("GET", f"comparisons/{begun['id']}").json()
    assert (found["scored"], found["failed"], found["done"]) == (5, 1, True)
    assert found["dimensions"][0]["n"] == 2 and found["dimensions"][0]["win_rate"]["value"] == 1.0
    (reason,) = found["reasons"]
    assert (reason["state"], reason["judgements"], reason["pair"]) == ("failed", 1, 1) and reason["reason"]


def test_what_the_budget_does_not_pay_waits_and_says_so(
    ready: Call, engine: Engine, project: Project, endpoint: Endpoint, work: Callable[[], int]
) -> None:
    set_budget(engine, project, 0, datetime.now(UTC))
    begun = ready("POST", "comparisons", wanted(texts())).json()
    assert work() == 0 and endpoint.calls == []
    found = ready("GET", f"comparisons/{begun['id']}").json()
    assert (found["waiting"], found["done"], found["cost"]) == (2, False, "0")
    (reason,) = found["reasons"]
    assert (reason["state"], reason["judgements"]) == ("waiting", 2) and "may cost today" in reason["reason"]


def test_comparisons_are_listed_newest_first_by_page(ready: Call) -> None:
    made = [ready("POST", "comparisons", wanted(texts(), name=f"no. {at}")).json() for at in range(3)]
    page = ready("GET", "comparisons?limit=2").json()
    assert [one["name"] for one in page["items"]] == ["no. 2", "no. 1"]
    names = set(page["items"][0])
    assert page["items"][0] == {name: made[2][name] for name in names} and "pairs" in names
    rest = ready("GET", f"comparisons?limit=2&cursor={page['next']}").json()
    assert [one["name"] for one in rest["items"]] == ["no. 0"] and rest["next"] is None
    for wrong in ("limit=0", "limit=101", "cursor=x", "cursor=-1", "cursor=99999999999999999999"):
        assert ready("GET", f"comparisons?{wrong}").status_code == 400
    (entry, *_) = ready("GET", "audit").json()["items"]
    assert (entry["action"], entry["target"]) == ("comparison.start", "no. 2")


def test_readers_read_administrators_start_and_nobody_sees_anothers(
    ready: Call, client: httpx.Client, project: Project, other_project: Project
) -> None:
    body = wanted(texts())
    sending = {"authorization": f"Bearer {project.ingest}"}
    for headers, status in ((project.reading(), 403), (sending, 403), ({}, 401)):
        assert client.post("/api/v1/comparisons", json=body, headers=headers).status_code == status
    made = ready("POST", "comparisons", body).json()
    for path in ("comparisons", f"comparisons/{made['id']}"):
        assert client.get(f"/api/v1/{path}", headers=project.reading()).status_code == 200
        assert client.get(f"/api/v1/{path}", headers=sending).status_code == 403
        assert client.get(f"/api/v1/{path}").status_code == 401
    assert ready("GET", "comparisons", of=other_project).json() == {"items": [], "next": None}
    assert ready("GET", f"comparisons/{made['id']}", of=other_project).status_code == 404
    assert ready("GET", "comparisons/0").status_code == 400
    assert ready("GET", f"comparisons/{2**63 - 1}").status_code == 404


def test_requests_of_another_project_cannot_be_compared(
    ready: Call, engine: Engine, project: Project, other_project: Project
) -> None:
    ours = stored(engine, project, "small", "s")
    theirs = stored(engine, other_project, "large", "s")
    answer = ready("POST", "comparisons", wanted({"first": ours, "second": theirs}))
    assert answer.status_code == 400
    assert answer.json()["detail"] == (
        f"pairs.0: There is no request {theirs['trace_id']}-{SPAN} in this project, which is second."
        " None of these pairs is compared."
    )


NOBODY = {"trace_id": "a" * 32, "span_id": SPAN}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pairs": []}, "at least 1 item"),
        ({"pairs": [texts()] * 501}, "at most 500 items"),
        (
            {"pairs": [texts(), texts(" ")]},
            "pairs.1: first has no answer, and the rubric relevance needs one.",
        ),
        ({"pairs": [texts(), texts(second="")]}, "pairs.1: second has no answer"),
        ({"pairs": [texts(question=None)]}, "pairs.0: first has no question"),
        ({"pairs": [texts(first="a\0")]}, "pairs.0: The pair holds a NUL"),
        ({"pairs": [texts(cluster="a\0")]}, "pairs.0: The pair holds a NUL"),
        ({"pairs": [texts(colour="red")]}, "pairs.0.colour: Extra inputs"),
        ({"pairs": [texts(), {"first": NOBODY, "second": BAD}]}, "pairs.1: first and second are two stored"),
        ({"pairs": [texts(first=NOBODY, second=NOBODY)]}, "pairs.0: Of stored requests the question"),
        ({"pairs": [{"first": NOBODY, "second": NOBODY}]}, "pairs.0: first and second are the same request"),
        (
            {"pairs": [{"first": NOBODY, "second": NOBODY | {"span_id": "2" * 16}}]},
            f"pairs.0: There is no request {'a' * 32}-{SPAN} in this project, which is first.",
        ),
        ({"pairs": [{"first": NOBODY | {"span_id": "x"}, "second": NOBODY}]}, "first.span_id is 16 hex"),
        ({"pairs": [{"first": NOBODY, "second": NOBODY | {"trace_id": "é"}}]}, "second.trace_id is 32 hex"),
        ({"rubric": "faithfulness"}, "pairs.0: first has no context, and the rubric faithfulness needs one."),
        ({"rubric": "length"}, "is a scorer, which compares nothing"),
        ({"name": " "}, "name is 1 to 100 characters"),
        ({"name": "a\0"}, "holds a NUL"),
        ({"first_label": "\0"}, "holds a NUL"),
    ],
)
def test_one_bad_pair_is_named_and_nothing_is_owed(ready: Call, changes: dict[str, Any], words: str) -> None:
    answer = ready("POST", "comparisons", wanted(texts()) | changes)
    assert answer.status_code == 400 and words in answer.json()["detail"], answer.text
    assert ready("GET", "comparisons").json()["items"] == []
    assert ready("GET", "judging").json()["waiting"] == 0


def test_the_right_answer_comes_with_the_pair_or_as_the_tag_of_a_request(
    ready: Call, engine: Engine, project: Project, endpoint: Endpoint, work: Callable[[], int]
) -> None:
    endpoint.respond = lambda body, number: (200, winner("A", "correctness"), {})
    now, tagged = datetime.now(UTC), Context(tags={"reference": "In Hamburg since noon."})
    traces = [
        *add_requests(engine, project, 1, now, "small"),
        *add_requests(engine, project, 1, now, "other"),
    ]
    traces += add_requests(engine, project, 1, now, "large", context=tagged)
    small, other, large = ({"trace_id": one, "span_id": SPAN} for one in traces)
    told = {"first": small, "second": other, "reference": "In Hamburg since one."}
    begun = ready(
        "POST", "comparisons", wanted({"first": small, "second": large}, told, rubric="correctness")
    )
    assert begun.status_code == 202 and work() == 4, begun.text
    for words in ("since noon.", "since one."):
        assert sum(words in one["messages"][-1]["content"] for one in endpoint.calls) == 2
    del told["reference"]
    answer = ready("POST", "comparisons", wanted(told, rubric="correctness"))
    assert "pairs.0: first has no reference" in answer.json()["detail"]


def test_answers_to_different_questions_are_not_compared(
    ready: Call, engine: Engine, project: Project
) -> None:
    traces = add_requests(engine, project, 2, datetime.now(UTC))
    first, second = ({"trace_id": one, "span_id": SPAN} for one in traces)
    answer = ready("POST", "comparisons", wanted(texts(), {"first": first, "second": second}))
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("pairs.1: first and second answer two different questions.")


def test_without_a_live_judge_or_a_budget_nothing_is_promised(
    ready: Call, call: Call, other_project: Project, engine: Engine, endpoint: Endpoint
) -> None:
    assert ready("POST", "comparisons", wanted(texts(), judge="nobody")).status_code == 404
    assert ready("POST", "comparisons", wanted(texts(), judge="\0")).status_code == 404
    assert ready("POST", "comparisons", wanted(texts(), rubric="nothing")).status_code == 404
    ready("DELETE", "judges/tiny").raise_for_status()
    assert "is retired" in ready("POST", "comparisons", wanted(texts())).json()["detail"]
    make_judge(engine, other_project, endpoint)
    answer = call("POST", "comparisons", wanted(texts()), of=other_project)
    assert answer.status_code == 400 and "PUT /api/v1/judging/budget" in answer.json()["detail"]


def test_bodies_texts_and_what_is_owed_are_bounded(ready: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    large = [texts("x" * 60_000, "y" * 60_000, at) for at in range(80)]
    assert ready("POST", "comparisons", wanted(*large)).status_code == 413
    monkeypatch.setattr(comparisons, "TEXTS_MAX", 100)
    answer = ready("POST", "comparisons", wanted(*(texts(at=at) for at in range(3))))
    assert answer.status_code == 400 and answer.json()["detail"].startswith("pairs.1: Up to here the texts")
    monkeypatch.undo()
    monkeypatch.setattr(comparisons, "OWED_MAX", 3)
    assert ready("POST", "comparisons", wanted(texts())).status_code == 202
    answer = ready("POST", "comparisons", wanted(texts()))
    assert answer.status_code == 400 and answer.json()["detail"].startswith(
        "2 judgements of comparisons wait"
    )
