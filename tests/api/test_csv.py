"""CSV is what the API answers, to the last digit."""

from __future__ import annotations

import csv
import io
import tracemalloc
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from core.csv_text import attribution_text, requests_text, text_cell
from core.question import METRICS, check_question
from core.store.lens import PostgresLens
from core.store.partitions import ensure_days
from core.store.requests import all_requests
from core.store.session import transaction
from core.window import EVER
from tests.collector.sending import send
from tests.conftest import Project
from tests.otlp import llm_span
from tests.store.rows import NOON

HOSTILE = ("=1+1", "+a", "-2", "@SUM(A1)", "\tx", 'a,"b"\r\nc', "naïve שלום", "x" * 200)
UNITS = {"USD": "_usd", "ms": "_ms"}


def table(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


def written(value: Any) -> str:
    """An API's value as a cell."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


@pytest.fixture
def sent(client: httpx.Client, project: Project) -> None:
    spans = [
        llm_span(tripoint__feature=name, user__id=name, input_tokens=100 + at, tripoint__tier="premium")
        for at, name in enumerate(HOSTILE)
    ]
    spans += [llm_span(model="nobody-knows", gen_ai__response__time_to_first_chunk=0.123), llm_span()]
    assert send(client, project, *spans).json() == {}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_attribution_as_csv_is_the_answer(
    client: httpx.Client, project: Project, sent: None, zone: str
) -> None:
    asked = {"group_by": "feature,user", "interval": "day", "metrics": ",".join(METRICS), "zone": zone}
    asked |= {"order": "input_tokens"}
    rows = client.get("/api/v1/attribution", params=asked, headers=project.reading()).json()["rows"]
    answer = client.get("/api/v1/attribution", params=asked | {"format": "csv"}, headers=project.reading())
    found = table(answer)
    assert len(found) == len(rows) == len(HOSTILE) + 1
    for cells, row in zip(found, rows, strict=True):
        for name in ("feature", "user"):
            assert cells[name] == (text_cell(row[name]) or "")
        for metric, unit in METRICS.items():
            assert cells[metric + UNITS.get(unit, "")] == written(row[metric])
        assert cells["unpriced_requests"] == str(row["unpriced_requests"])
        assert cells["start"] == row["start"] if zone == "UTC" else cells["start"].endswith("T00:00:00+05:30")
    assert answer.headers["content-disposition"] == (
        'attachment; filename="tripoint-attribution-by-feature-and-user-by-day.csv"'
    )


def test_requests_as_csv_are_the_items(client: httpx.Client, project: Project, sent: None) -> None:
    headers = project.reading() | {"accept": "text/csv"}
    items = client.get("/api/v1/requests?order=cost", headers=project.reading()).json()["items"]
    found = table(client.get("/api/v1/requests?order=cost", headers=headers))
    assert len(found) == len(items) == len(HOSTILE) + 2
    money = {"cost": "cost_usd", "list_cost": "list_cost_usd", "cost_reported": "cost_reported_usd"}
    texts = {"feature", "user", "request_model", "response_model"}
    for cells, item in zip(found, items, strict=True):
        plain = {name: value for name, value in (item | item["usage"]).items()}
        for name, value in plain.items():
            column = money.get(name, name)
            if column in cells and name not in ("started_at", "tags"):
                assert cells[column] == ((text_cell(value) or "") if name in texts else written(value)), name
        assert cells["started_at"][:19] == item["started_at"][:19] and cells["started_at"].endswith("Z")
        assert float(cells["duration_ms"]) == item["duration_ms"]


def test_a_csv_that_has_not_all_requests_says_how_to_get_the_rest(
    client: httpx.Client, project: Project, sent: None
) -> None:
    asked, ids = {"format": "csv", "limit": "4"}, []
    while True:
        found = table(client.get("/api/v1/requests", params=asked, headers=project.reading()))
        last = found[-1]["id"]
        ids += [row["id"] for row in found if not row["id"].startswith("#")]
        if not last.startswith("#"):
            break
        assert last.startswith("# 4 requests are here and there are more: ask again with cursor=")
        asked["cursor"] = last.rpartition("cursor=")[2]
    items = client.get("/api/v1/requests", headers=project.reading()).json()["items"]
    assert ids == [item["id"] for item in items]


def test_no_rows_are_a_table_with_names_only(client: httpx.Client, project: Project) -> None:
    for path in ("attribution?group_by=feature&format=csv", "requests?format=csv"):
        answer = client.get(f"/api/v1/{path}", headers=project.reading())
        assert table(answer) == [] and answer.text.count("\r\n") == 1


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("attribution?format=xlsx", "'json' or 'csv'"),
        ("attribution?format=csv&limit=5", "Leave limit and offset out"),
        ("attribution?format=csv&group_by=featre", "There is no dimension"),
        ("requests?format=csv&limit=100001", "between 1 and 100000"),
        ("requests?format=csv&cursor=x", "cursor"),
    ],
)
def test_what_cannot_be_a_file_is_refused_before_it_begins(
    client: httpx.Client, project: Project, path: str, words: str
) -> None:
    answer = client.get(f"/api/v1/{path}", headers=project.reading())
    assert answer.status_code == 400 and words in answer.json()["detail"]


_MANY = text("""
INSERT INTO request (project_id, day, trace_id, span_id, started_at, duration_us, name, source, source_version, native,
    aggregate, batch, session, status, pricing_status, cost_pico, list_pico, state, counted)
SELECT :project, CAST(:day AS date), md5(n::text), substr(md5('s' || n), 1, 16), CAST(:day AS timestamptz), n, 'chat',
    'test', '1', false, false, false, 'session-' || n, 'ok', 'priced', n, n, 'settled', true
FROM generate_series(1, 100000) n
""")


@pytest.mark.slow
def test_a_hundred_thousand_rows_take_no_more_memory_than_a_part_of_them(
    engine: Engine, owner: Engine, project: Project
) -> None:
    ensure_days(owner, [NOON.date()])
    with transaction(owner) as connection:
        connection.execute(_MANY, {"project": project.id, "day": NOON.date()})
        connection.execute(text("ANALYZE request"))
    question = check_question(window=EVER, group_by=["session"], metrics=["requests", "cost"])
    groups = attribution_text(PostgresLens(engine).pages(project.id, question, 10_000))
    requests = requests_text(all_requests(engine, project.id, EVER, {}))
    for parts in (groups, requests):
        tracemalloc.start()
        rows = sum(next(parts).count("\r\n") for _ in range(4))
        first = tracemalloc.get_traced_memory()[1]
        rows += sum(part.count("\r\n") for part in parts)
        whole = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rows == 100_001
        assert whole < 1.5 * first + 2_000_000
