"""The rules of OTLP over HTTP, told by a real server over real sockets."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from sqlalchemy import Engine

import launch
from tests.collector.sending import (
    JSON,
    PROTOBUF,
    held,
    llm_body,
    protobuf,
    requests_of,
    send,
    server_with,
    status_of,
    totals,
)
from tests.conftest import Database, Project, Server, on
from tests.otlp import attribute, body, llm_span

DAY_NS = 86_400 * 10**9
MEBIBYTE = 1024 * 1024


# success ---------------------------------------------------------------------------------------------


def test_a_protobuf_body_is_answered_in_protobuf_with_nothing_set(
    client: httpx.Client, project: Project
) -> None:
    answer = client.post("/v1/traces", content=protobuf(llm_body()), headers=project.sending())
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == PROTOBUF
    assert not ExportTraceServiceResponse.FromString(answer.content).HasField("partial_success")
    assert totals(client, project)["requests"] == 1


def test_a_json_body_is_answered_in_json_with_nothing_set(client: httpx.Client, project: Project) -> None:
    answer = send(client, project, llm_span())
    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["content-type"] == JSON


@pytest.mark.parametrize(
    "content_type", [f"{JSON}; charset=utf-8", f"{JSON};charset=UTF-8", "Application/JSON"]
)
def test_a_content_type_may_carry_parameters(
    client: httpx.Client, project: Project, content_type: str
) -> None:
    answer = client.post("/v1/traces", content=llm_body(), headers=project.sending(content_type))
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize(
    ("content_type", "empty"), [(PROTOBUF, b""), (JSON, b"{}"), (JSON, b'{"resourceSpans": []}')]
)
@pytest.mark.parametrize("signal", ["traces", "logs", "metrics"])
def test_an_empty_export_is_a_success(
    client: httpx.Client, project: Project, signal: str, content_type: str, empty: bytes
) -> None:
    answer = client.post(f"/v1/{signal}", content=empty, headers=project.sending(content_type))
    assert (answer.status_code, answer.content) == (200, b"" if content_type == PROTOBUF else b"{}")


@pytest.mark.parametrize(("content_type", "convert"), [(PROTOBUF, protobuf), (JSON, bytes)])
def test_gzip_is_unpacked(client: httpx.Client, project: Project, content_type: str, convert: Any) -> None:
    packed = gzip.compress(convert(llm_body()))
    headers = {**project.sending(content_type), "content-encoding": "gzip"}
    assert client.post("/v1/traces", content=packed, headers=headers).status_code == 200
    assert totals(client, project)["requests"] == 1


def test_a_gzip_body_may_have_several_members(client: httpx.Client, project: Project) -> None:
    whole = llm_body()
    packed = gzip.compress(whole[:100]) + gzip.compress(whole[100:])
    headers = {**project.sending(JSON), "content-encoding": "gzip"}
    assert client.post("/v1/traces", content=packed, headers=headers).json() == {}
    assert totals(client, project)["requests"] == 1


def test_a_chunked_body_needs_no_length(client: httpx.Client, project: Project) -> None:
    def parts() -> Iterator[bytes]:
        whole = llm_body()
        yield whole[:50]
        yield whole[50:]

    assert client.post("/v1/traces", content=parts(), headers=project.sending(JSON)).status_code == 200
    assert totals(client, project)["requests"] == 1


@pytest.mark.parametrize("path", ["/api/public/otel/v1/traces", "/opentelemetry/v1/traces"])
def test_the_addresses_of_other_products_work_with_basic_auth(
    client: httpx.Client, project: Project, path: str
) -> None:
    answer = client.post(
        path,
        content=protobuf(llm_body()),
        headers={"content-type": PROTOBUF},
        auth=("pk-anything", project.ingest),
    )
    assert answer.status_code == 200
    assert totals(client, project)["requests"] == 1


# partial success -------------------------------------------------------------------------------------


def test_a_bad_span_is_told_and_its_neighbour_kept(client: httpx.Client, project: Project) -> None:
    bad = llm_span() | {"traceId": "not an id"}
    answer = send(client, project, llm_span(), bad, llm_span())
    partial = answer.json()["partialSuccess"]
    assert (answer.status_code, partial["rejectedSpans"]) == (200, "1")
    assert partial["errorMessage"].startswith("1 span rejected: traceId must be 32 hexadecimal digits")
    assert totals(client, project)["requests"] == 2


def test_a_bad_span_is_told_in_protobuf_too(client: httpx.Client, project: Project) -> None:
    export = ExportTraceServiceRequest.FromString(protobuf(body(llm_span(), llm_span())))
    export.resource_spans[0].scope_spans[0].spans[0].trace_id = b"\0" * 16
    answer = client.post("/v1/traces", content=export.SerializeToString(), headers=project.sending())
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_spans) == (200, 1)
    assert "trace_id must be 16 bytes" in partial.error_message
    assert totals(client, project)["requests"] == 1


def test_logs_are_answered_as_rejected(client: httpx.Client, project: Project) -> None:
    export = ExportLogsServiceRequest()
    export.resource_logs.add().scope_logs.add().log_records.add()
    export.resource_logs.add().scope_logs.add().log_records.add()
    answer = client.post("/v1/logs", content=export.SerializeToString(), headers=project.sending())
    partial = ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_log_records) == (200, 2)
    assert "traces only" in partial.error_message


def test_metrics_are_answered_as_rejected(client: httpx.Client, project: Project) -> None:
    export = ExportMetricsServiceRequest()
    metric = export.resource_metrics.add().scope_metrics.add().metrics.add()
    metric.exponential_histogram.data_points.add()
    metric.exponential_histogram.data_points.add()
    answer = client.post("/v1/metrics", content=export.SerializeToString(), headers=project.sending())
    partial = ExportMetricsServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_data_points) == (200, 2)


def test_json_metrics_are_counted_too(client: httpx.Client, project: Project) -> None:
    export = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"sum": {"dataPoints": [{}, {}, {}]}}]}]}]}
    answer = client.post("/v1/metrics", content=json.dumps(export), headers=project.sending(JSON))
    assert answer.json()["partialSuccess"]["rejectedDataPoints"] == "3"


def test_a_clock_a_year_ahead_is_rejected_with_a_sentence(client: httpx.Client, project: Project) -> None:
    ahead = llm_span(start_ns=time.time_ns() + 365 * DAY_NS)
    partial = send(client, project, ahead, llm_span()).json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert "in the future; check the sender's clock" in partial["errorMessage"]
    assert totals(client, project)["requests"] == 1


def test_a_clock_a_year_behind_is_stored_with_a_warning(client: httpx.Client, project: Project) -> None:
    behind = llm_span(start_ns=time.time_ns() - 365 * DAY_NS)
    partial = send(client, project, behind).json()["partialSuccess"]
    assert partial["rejectedSpans"] == "0"
    assert "stored although the start time is more than 90 days ago" in partial["errorMessage"]
    assert totals(client, project)["requests"] == 1


def test_a_clock_decades_behind_is_rejected(client: httpx.Client, project: Project) -> None:
    partial = send(client, project, llm_span(start_ns=1)).json()["partialSuccess"]
    assert (partial["rejectedSpans"], "in the past" in partial["errorMessage"]) == ("1", True)


# bad bodies ------------------------------------------------------------------------------------------


def test_another_content_type_is_415(client: httpx.Client, project: Project) -> None:
    answer = client.post("/v1/traces", content=b"x", headers=project.sending("text/plain"))
    assert answer.status_code == 415
    assert "application/x-protobuf" in answer.json()["message"]


@pytest.mark.parametrize("encoding", ["deflate", "zstd", "br", "gzip, gzip"])
def test_another_content_encoding_is_400(client: httpx.Client, project: Project, encoding: str) -> None:
    headers = {**project.sending(), "content-encoding": encoding}
    answer = client.post("/v1/traces", content=b"x", headers=headers)
    assert (answer.status_code, status_of(answer).code) == (400, 3)
    assert "Use gzip or none" in status_of(answer).message


def test_garbage_for_protobuf_is_400_with_a_status_in_protobuf(
    client: httpx.Client, project: Project
) -> None:
    answer = client.post("/v1/traces", content=b"\x0a\xff\xff\xff garbage", headers=project.sending())
    assert (answer.status_code, status_of(answer).code) == (400, 3)
    assert "not an OTLP protobuf message" in status_of(answer).message


@pytest.mark.parametrize(
    "broken", [b"{", b"[]", b'"text"', b'{"resourceSpans": 1}', b"\xff\xfe", b"[" * 100_000]
)
def test_broken_json_is_400_with_a_status_in_json(
    client: httpx.Client, project: Project, broken: bytes
) -> None:
    answer = client.post("/v1/traces", content=broken, headers=project.sending(JSON))
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert answer.headers["content-type"] == JSON
    assert answer.json()["message"].endswith((".", "Content-Type."))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400, "NaN", "Infinity", '"1e999"'])
@pytest.mark.parametrize("field", ["intValue", "doubleValue"])
def test_numbers_beyond_all_bounds_cost_at_most_their_span(
    client: httpx.Client, project: Project, field: str, number: str
) -> None:
    span = llm_span()
    span["attributes"].append({"key": "gen_ai.usage.input_tokens", "value": {field: "PLACE"}})
    sent = body(span, llm_span()).replace(b'"PLACE"', number.encode())
    answer = client.post("/v1/traces", content=sent, headers=project.sending(JSON))
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        assert totals(client, project)["requests"] >= 1


@pytest.mark.parametrize("cut", [1, 9, 20, -9, -1])
def test_a_truncated_gzip_body_is_400(client: httpx.Client, project: Project, cut: int) -> None:
    packed = gzip.compress(protobuf(llm_body()))
    headers = {**project.sending(), "content-encoding": "gzip"}
    answer = client.post("/v1/traces", content=packed[:cut], headers=headers)
    assert (answer.status_code, status_of(answer).code) == (400, 3)
    assert "gzip" in status_of(answer).message


def test_a_body_that_only_claims_to_be_gzip_is_400(client: httpx.Client, project: Project) -> None:
    headers = {**project.sending(), "content-encoding": "gzip"}
    answer = client.post("/v1/traces", content=protobuf(llm_body()), headers=headers)
    assert (answer.status_code, status_of(answer).code) == (400, 3)


# size ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def narrow(database: Database) -> Iterator[Server]:
    """A server that takes bodies of 20 000 bytes, hardly more than one at a time."""
    with server_with(database, body_max_bytes=20_000, queue_max_bytes=24_000) as server:
        yield server


def padded(size: int) -> bytes:
    """A good body of about so many bytes."""
    return llm_body(padding="x" * size)


def test_a_body_over_the_limit_is_413(narrow: Server, project: Project) -> None:
    with narrow.client() as client:
        answer = client.post("/v1/traces", content=padded(20_000), headers=project.sending(JSON))
        assert (answer.status_code, answer.json()["code"]) == (413, 8)
        assert "retry-after" not in answer.headers
        assert send(client, project, llm_span()).status_code == 200


def test_a_chunked_body_over_the_limit_is_413(narrow: Server, project: Project) -> None:
    with narrow.client() as client:
        parts = iter([padded(15_000)[:15_000]] * 3)
        answer = client.post("/v1/traces", content=parts, headers=project.sending(JSON))
        assert answer.status_code == 413


def test_a_body_over_the_limit_after_unpacking_is_413(narrow: Server, project: Project) -> None:
    packed = gzip.compress(padded(30_000))
    assert len(packed) < 2_000
    with narrow.client() as client:
        headers = {**project.sending(JSON), "content-encoding": "gzip"}
        assert client.post("/v1/traces", content=packed, headers=headers).status_code == 413
        assert (
            client.post("/v1/traces", content=gzip.compress(padded(9_000)), headers=headers).status_code
            == 200
        )


def test_a_body_that_the_queue_can_never_hold_is_413_and_not_503(
    database: Database, project: Project
) -> None:
    with (
        server_with(database, body_max_bytes=20_000, queue_max_bytes=10_000) as server,
        server.client() as client,
    ):
        assert (
            client.post("/v1/traces", content=padded(12_000), headers=project.sending(JSON)).status_code
            == 413
        )
        assert (
            client.post("/v1/traces", content=padded(2_000), headers=project.sending(JSON)).status_code == 200
        )


def test_a_gzip_bomb_is_413_and_costs_little_memory(server: Server, project: Project) -> None:
    bomb = gzip.compress(bytes(700 * MEBIBYTE), 1)
    before = psutil.Process().memory_info().rss
    with server.client() as client:
        headers = {**project.sending(), "content-encoding": "gzip"}
        assert client.post("/v1/traces", content=bomb, headers=headers).status_code == 413
    assert psutil.Process().memory_info().rss - before < 200 * MEBIBYTE


def test_a_body_of_empty_spans_is_413(client: httpx.Client, project: Project) -> None:
    spans = b"\x12\x00" * 200_000
    scoped = b"\x12" + _varint(len(spans)) + spans
    group = b"\x0a" + _varint(len(scoped)) + scoped
    answer = client.post("/v1/traces", content=group, headers=project.sending())
    assert (answer.status_code, "more than 100000 spans" in status_of(answer).message) == (413, True)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def test_a_full_queue_is_503_with_retry_after_and_then_works_again(narrow: Server, project: Project) -> None:
    def send_one() -> httpx.Response:
        return client.post("/v1/traces", content=padded(9_000), headers=project.sending(JSON))

    with narrow.client() as client:
        with held(narrow, project, 18_000):
            deadline = time.monotonic() + 10
            while (answer := send_one()).status_code == 200 and time.monotonic() < deadline:
                time.sleep(0.02)
        assert (answer.status_code, answer.json()["code"]) == (503, 14)
        assert int(answer.headers["retry-after"]) >= 1
        assert send_one().status_code == 200


# keys ------------------------------------------------------------------------------------------------


def test_no_key_is_401_and_says_how_to_send_one(client: httpx.Client) -> None:
    answer = client.post("/v1/traces", content=b"", headers={"content-type": PROTOBUF})
    assert (answer.status_code, status_of(answer).code) == (401, 16)
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer tp_ingest_wrong",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff").decode(),
        "Digest x",
        "x" * 9000,
    ],
)
def test_a_wrong_key_is_401(client: httpx.Client, authorization: str) -> None:
    headers = {"content-type": JSON, "authorization": authorization}
    answer = client.post("/v1/traces", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, 16)


def test_an_expired_key_is_401(client: httpx.Client, project: Project, owner: Engine) -> None:
    key = launch.make_key(owner, project.id, "ingest", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    answer = client.post(
        "/v1/traces", content=b"{}", headers={"content-type": JSON, "authorization": f"Bearer {key}"}
    )
    assert (answer.status_code, "expired" in answer.json()["message"]) == (401, True)


def test_a_revoked_key_is_401(client: httpx.Client, project: Project) -> None:
    made = client.post("/api/v1/keys", json={"role": "ingest"}, headers=project.ruling()).json()
    headers = {"content-type": JSON, "authorization": f"Bearer {made['key']}"}
    client.delete(f"/api/v1/keys/{made['id']}", headers=project.ruling())
    answer = client.post("/v1/traces", content=b"{}", headers=headers)
    assert (answer.status_code, "revoked" in answer.json()["message"]) == (401, True)


def test_a_key_that_was_in_use_ends_within_seconds_of_its_revocation(
    client: httpx.Client, project: Project
) -> None:
    made = client.post("/api/v1/keys", json={"role": "ingest"}, headers=project.ruling()).json()
    headers = {"content-type": JSON, "authorization": f"Bearer {made['key']}"}
    assert client.post("/v1/traces", content=b"{}", headers=headers).status_code == 200
    client.delete(f"/api/v1/keys/{made['id']}", headers=project.ruling())
    deadline = time.monotonic() + 3
    while client.post("/v1/traces", content=b"{}", headers=headers).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_read_key_cannot_send(client: httpx.Client, project: Project) -> None:
    headers = {"content-type": JSON, **project.reading()}
    answer = client.post("/v1/traces", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, 7)
    assert "Use an ingest key" in answer.json()["message"]


# odd contents ----------------------------------------------------------------------------------------


def test_an_unknown_model_is_unpriced_with_a_reason_and_costs_null(
    client: httpx.Client, project: Project
) -> None:
    send(client, project, llm_span(model="nobody-knows-1", provider="acme"))
    (found,) = requests_of(client, project)
    assert (found["cost"], found["pricing_status"]) == (None, "unpriced")
    assert found["pricing_reason"]
    assert totals(client, project)["cost"] is None


@pytest.mark.parametrize("tokens", [-5, float("nan"), "many", 10**18, True])
def test_token_counts_that_cannot_be_are_unknown_and_not_zero(
    client: httpx.Client, project: Project, tokens: Any
) -> None:
    span = llm_span(input_tokens=None, output_tokens=None)
    value = {"doubleValue": "NaN"} if tokens != tokens else attribute("", tokens)["value"]
    span["attributes"] += [
        {"key": f"gen_ai.usage.{side}_tokens", "value": value} for side in ("input", "output")
    ]
    assert send(client, project, span).json() == {}
    (found,) = requests_of(client, project)
    assert (found["usage"]["input_tokens"], found["usage"]["output_tokens"]) == (None, None)
    assert found["cost"] is None


def test_the_largest_token_counts_that_are_believed_have_a_price_or_a_reason(
    client: httpx.Client, project: Project
) -> None:
    assert (
        send(client, project, llm_span(model="o1-pro", input_tokens=10**10, output_tokens=10**10)).status_code
        == 200
    )
    (found,) = requests_of(client, project)
    assert found["usage"]["input_tokens"] == 10**10
    assert found["cost"] is not None or found["pricing_reason"] == "cost_out_of_range"


def test_an_attribute_of_ten_megabytes_is_taken(client: httpx.Client, project: Project) -> None:
    answer = send(client, project, llm_span(gen_ai__input__messages="x" * 10_000_000))
    assert answer.status_code == 200
    assert totals(client, project)["requests"] == 1


def test_a_span_twice_in_one_body_counts_once(client: httpx.Client, project: Project) -> None:
    span = llm_span()
    assert send(client, project, span, span).json() == {}
    assert totals(client, project)["requests"] == 1


def test_a_replay_counts_once(client: httpx.Client, project: Project) -> None:
    content = llm_body()
    for _ in range(3):
        assert client.post("/v1/traces", content=content, headers=project.sending(JSON)).json() == {}
    assert totals(client, project)["requests"] == 1


def test_nul_characters_are_dropped_wherever_they_stand(client: httpx.Client, project: Project) -> None:
    span = llm_span(
        gen_ai__response__id="r\0-1",
        tripoint__feature="se\0arch",
        user__id="a\0nn",
        gen_ai__input__messages='[{"content":"hi\0"}]',
        error__type="\0",
    )
    span["attributes"].append(attribute("tripoint.tag.\0team", "\0blue"))
    span["name"] = "chat\0"
    assert send(client, project, span).json() == {}
    (found,) = requests_of(client, project)
    assert (found["response_id"], found["feature"], found["user"]) == ("r-1", "search", "ann")


def test_names_of_ten_thousand_characters_are_cut_and_not_refused(
    client: httpx.Client, project: Project
) -> None:
    long = "\N{GRINNING FACE}" * 10_000
    span = llm_span(
        model=long,
        provider=long,
        tripoint__feature=long,
        user__id=long,
        session__id=long,
        gen_ai__response__id=long,
        error__type=long,
        **{f"tripoint__tag__{long[:9000]}": long},
    )
    span["name"] = long
    sent = client.post(
        "/v1/traces", content=body(span, scope=long, service=long), headers=project.sending(JSON)
    )
    assert sent.json() == {}
    (found,) = requests_of(client, project)
    assert len(found["feature"]) == 512


def test_a_backfill_over_many_days_is_taken(client: httpx.Client, project: Project) -> None:
    now = time.time_ns()
    spans = [llm_span(start_ns=now - n * 3 * DAY_NS) for n in range(0, 25)]
    assert send(client, project, *spans).status_code == 200
    assert totals(client, project)["requests"] == 25


# the database ----------------------------------------------------------------------------------------


def test_a_database_that_goes_away_is_503_with_retry_after(
    cluster: tuple[str, str], project: Project
) -> None:
    name = f"tripoint_{uuid4().hex[:12]}"
    with psycopg.connect(on(cluster[0], "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        launch.migrate(on(cluster[0], name))
        database = Database(on(cluster[0], name), on(cluster[1], name))
        from core.store.session import open_engine
        from tests.conftest import make_project

        engine = open_engine(database.owner_url, role=None)
        own = make_project(engine)
        engine.dispose()
        with server_with(database) as server, server.client() as client:
            assert send(client, own, llm_span()).status_code == 200
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
            for _ in range(3):
                # within the second the key is still remembered, so this reaches the writer too
                answer = send(client, own, llm_span())
                assert (answer.status_code, answer.json()["code"]) == (503, 14)
                assert int(answer.headers["retry-after"]) >= 1
            assert client.get("/api/v1/attribution", headers=own.reading()).status_code == 503
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200


def test_gzip_padded_with_zeros_and_its_old_name_are_read(client: httpx.Client, project: Project) -> None:
    packed = gzip.compress(body(llm_span())) + b"\0" * 512
    for name in ("gzip", "x-gzip", "GZIP"):
        headers = project.sending("application/json") | {"content-encoding": name}
        assert client.post("/v1/traces", content=packed, headers=headers).status_code == 200


def test_a_sum_that_is_billed_has_one_source_everywhere(client: httpx.Client, project: Project) -> None:
    orphan = llm_span(gen_ai__operation__name="invoke_agent")
    client.post("/v1/traces", content=body(orphan), headers=project.sending("application/json"))
    client.post("/api/v1/settle", headers=project.ruling())
    (item,) = client.get("/api/v1/requests?source=aggregate", headers=project.reading()).json()["items"]
    rows = client.get("/api/v1/attribution?group_by=source", headers=project.reading()).json()["rows"]
    assert [item["source"], *(row["source"] for row in rows)] == ["aggregate", "aggregate"]


def test_a_revoked_key_ends_at_once_where_it_was_revoked(client: httpx.Client, project: Project) -> None:
    made = client.post("/api/v1/keys", json={"role": "read"}, headers=project.ruling()).json()
    using = {"authorization": f"Bearer {made['key']}"}
    assert client.get("/api/v1/requests", headers=using).status_code == 200
    client.delete(f"/api/v1/keys/{made['id']}", headers=project.ruling())
    assert client.get("/api/v1/requests", headers=using).status_code == 401
