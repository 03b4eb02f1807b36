"""A collector that is down, slow, full or angry costs the application nothing and loses no span that fits."""

from __future__ import annotations

import logging
import socket
import time
from base64 import b64encode
from collections.abc import Callable, Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import TracerProvider

from tests.ports import free_port
from tests.sdk.sink import TAKEN, Reply, Sink, running
from tripoint import _log
from tripoint._spool import Spool
from tripoint._wire import Answer, Wire, _seconds

PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture(autouse=True)
def nothing_told_yet() -> None:
    _log._told.clear()


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running(Sink()) as sink:
        yield sink


Make = Callable[..., tuple[TracerProvider, Spool]]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Spool] = []

    def spooled(url: str, answer_s: float = 10, **options: float) -> tuple[TracerProvider, Spool]:
        options = {"linger_s": 0.02, "pause_s": 0.02} | options
        spool = Spool(Wire(url, "tp_key", answer_s), **options)  # type: ignore[arg-type]
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(spool)
        made.append(spool)
        return provider, spool

    yield spooled
    for spool in made:
        spool.close(0)


def send(provider: TracerProvider, count: int, start: int = 0) -> None:
    tracer = provider.get_tracer("test")
    for number in range(start, start + count):
        tracer.start_span(f"s{number}").end()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "tripoint"]


def test_spans_arrive_once_with_the_key(sink: Sink, make: Make) -> None:
    provider, spool = make(sink.url)
    send(provider, 1500)
    assert spool.flush(20)
    assert sorted(sink.names()) == sorted(f"s{n}" for n in range(1500))
    assert {asked["authorization"] for asked in sink.asked} == {"Bearer tp_key"}
    assert {asked["path"] for asked in sink.asked} == {"/v1/traces"}
    assert (spool.sent, spool.lost(), spool.left()) == (1500, 0, 0)


def test_bodies_are_packed_for_the_network(sink: Sink, make: Make) -> None:
    assert Wire("https://tripoint.example.com", "k").packs
    provider, spool = make(sink.url)
    spool._wire.packs = True
    send(provider, 200)
    assert spool.flush(20)
    assert len(sink.names()) == 200
    assert {asked["content-encoding"] for asked in sink.asked} == {"gzip"}


def test_an_outage_loses_nothing_and_is_two_lines(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    provider, spool = make(f"http://127.0.0.1:{port}", pause_s=0.01)
    send(provider, 700)
    Sink().wait(lambda: spool._failures >= 3)
    send(provider, 300, 700)
    assert not spool.flush(0.1)
    with running(Sink(port=port)) as sink:
        assert spool.flush(20)
        assert sorted(sink.names()) == sorted(f"s{n}" for n in range(1000))
        down, up = lines(caplog)
    assert f"http://127.0.0.1:{port}/v1/traces cannot be reached" in down
    assert "1000 were sent late, 0 were lost" in up
    assert spool.lost() == 0


def test_beyond_the_bound_the_oldest_go_and_are_counted(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    provider, spool = make(f"http://127.0.0.1:{port}", held_bytes_max=40_000, pause_s=0.05)
    for batch in range(20):
        send(provider, 50, batch * 50)
        Sink().wait(lambda: not spool._waiting and not spool._packing)
        assert spool._held_bytes <= 40_000
    lost = spool.lost()
    assert 0 < lost < 1000
    with running(Sink(port=port)) as sink:
        assert spool.flush(20)
        kept = sorted(int(name[1:]) for name in sink.names())
    assert len(kept) + lost == 1000
    assert kept[-1] == 999 and kept[0] > 0
    assert f"{lost} were lost" in lines(caplog)[-1]
    assert sum("oldest spans are dropped" in line for line in lines(caplog)) == 1


def test_retry_after_is_honoured_in_seconds(sink: Sink, make: Make) -> None:
    sink.replies = [Reply(503, b"", {"Retry-After": "1"})]
    provider, spool = make(sink.url)
    send(provider, 3)
    sink.wait(lambda: len(sink.spans) == 3)
    assert sink.times[1] - sink.times[0] >= 1
    assert spool.lost() == 0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("soon", None),
        ("nan", None),
        ("-3", 0),
        ("99999", 300),
        (None, None),
    ],
)
def test_retry_after_comes_in_several_forms(header: str | None, seconds: float | None) -> None:
    assert _seconds(header, now=100) == seconds


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_be_sent_again_is(status: int, sink: Sink, make: Make) -> None:
    sink.replies = [Reply(status, b"")] * 2
    provider, spool = make(sink.url)
    send(provider, 3)
    assert spool.flush(20)
    assert sorted(sink.names()) == ["s0", "s1", "s2"]
    assert len(sink.asked) == 3


def test_a_body_that_always_breaks_the_collector_does_not_block_the_rest(sink: Sink, make: Make) -> None:
    sink.replies = [Reply(500, b"")] * 5
    provider, spool = make(sink.url)
    send(provider, 1)
    sink.wait(lambda: spool.lost() == 1)
    send(provider, 1, 1)
    assert spool.flush(20)
    assert sink.names() == ["s1"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_one_line_that_says_what_to_do(
    status: int, sink: Sink, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    body = Status(message="this key was revoked").SerializeToString()
    sink.always = Reply(status, body, PROTOBUF)
    provider, spool = make(sink.url)
    for number in range(3):
        send(provider, 2, number * 2)
        assert spool.flush(20)
    (line,) = lines(caplog)
    assert f"answers {status} (this key was revoked)" in line and "TRIPOINT_KEY" in line
    assert spool.lost() == 6
    sink.always = Reply(400, b'{"message": "bad"}', {"Content-Type": "application/json"})
    send(provider, 1)
    assert spool.flush(20)
    assert "answers 400" in lines(caplog)[1]
    sink.always = Reply()
    send(provider, 1)
    assert spool.flush(20)
    assert "takes spans again" in lines(caplog)[2] and "7 were lost" in lines(caplog)[2]
    assert len(lines(caplog)) == 3


def test_what_was_not_kept_is_said_with_its_reason(
    sink: Sink, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    reply = ExportTraceServiceResponse()
    reply.partial_success.rejected_spans = 2
    reply.partial_success.error_message = "too old"
    sink.replies = [Reply(200, reply.SerializeToString(), PROTOBUF)] * 2
    provider, spool = make(sink.url)
    for number in range(2):
        send(provider, 3, number * 3)
        assert spool.flush(20)
    (line,) = lines(caplog)
    assert "2 spans were not kept: too old" in line
    assert spool.sent == 2


def test_a_collector_that_never_answers_blocks_nobody(make: Make) -> None:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(16)
        provider, spool = make(f"http://127.0.0.1:{hole.getsockname()[1]}", answer_s=0.2)
        before = time.thread_time()
        send(provider, 200)
        # no wall time: the application's thread did no more than hand the spans over
        assert time.thread_time() - before < 1
        Sink().wait(lambda: spool._failures >= 2)
        assert (spool.lost(), spool.left()) == (0, 200)


def test_a_connection_that_was_closed_meanwhile_is_no_trouble(
    sink: Sink, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    sink.always = Reply(200, TAKEN, PROTOBUF | {"Connection": "close"})
    provider, spool = make(sink.url)
    for number in range(3):
        send(provider, 1, number)
        assert spool.flush(20)
    assert sink.names() == ["s0", "s1", "s2"]
    assert lines(caplog) == []


def test_closing_says_what_could_not_be_delivered(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    provider, spool = make(f"http://127.0.0.1:{free_port()}")
    send(provider, 4)
    assert not spool.close(20, give_up=True)
    assert "4 spans were not delivered" in lines(caplog)[-1]
    send(provider, 1)
    assert spool.left() == 4


def test_debug_lines_say_what_was_sent(sink: Sink, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="tripoint")
    provider, spool = make(sink.url)
    send(provider, 2)
    assert spool.flush(20)
    assert any("2 spans" in line and "taken" in line for line in lines(caplog))


def test_a_span_that_is_too_large_leaves_without_its_content(sink: Sink, make: Make) -> None:
    provider, spool = make(sink.url)
    with provider.get_tracer("test").start_as_current_span("huge") as span:
        span.set_attribute("gen_ai.input.messages", "x" * 5_000_000)
        span.set_attribute("gen_ai.usage.input_tokens", 7)
    assert spool.flush(20)
    (sent,) = sink.spans
    assert sent["attributes"] == {"gen_ai.usage.input_tokens": 7}


def test_bodies_stay_small(sink: Sink, make: Make) -> None:
    provider, spool = make(sink.url)
    for number in range(12):
        with provider.get_tracer("test").start_as_current_span(f"s{number}") as span:
            span.set_attribute("gen_ai.input.messages", "x" * 900_000)
    assert spool.flush(20)
    assert len(sink.spans) == 12
    assert max(int(asked["content-length"]) for asked in sink.asked) <= 4 << 20


def test_an_address_that_is_none_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match="write it like https://"):
        Wire("localhost:4318", "k")


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://h:1", "http://h:1/v1/traces"),
        ("http://h:1/", "http://h:1/v1/traces"),
        ("https://h/otlp", "https://h/otlp/v1/traces"),
        ("https://h/v1/traces", "https://h/v1/traces"),
    ],
)
def test_the_path_is_added_where_it_is_missing(endpoint: str, url: str) -> None:
    assert Wire(endpoint, "k").url == url


def test_a_proxy_is_used_where_the_environment_names_one(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", sink.url.replace("//", "//me:p%40ss@"))
    assert Wire("http://tripoint.test:80", "k").post(b"", packed=False) == Answer("taken")
    assert sink.asked[0]["path"] == "http://tripoint.test:80/v1/traces"
    assert sink.asked[0]["proxy-authorization"] == "Basic " + b64encode(b"me:p@ss").decode()
    monkeypatch.setenv("no_proxy", "tripoint.test")
    assert Wire("http://tripoint.test:80", "k").post(b"", packed=False).verdict == "again"
