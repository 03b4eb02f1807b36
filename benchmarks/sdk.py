"""What the SDK costs an application: CPU per call beside bare OpenTelemetry, import, distributions, an outage.

python -m benchmarks sdk [--calls 2000] [--rounds 7] [--client-rounds 5] [--outage 60 --rate 200]
python -m benchmarks sdk --client ours --by genai      # one client by itself
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Tracer

import tripoint
from tripoint import _call, _content
from tripoint._content import Policy
from tripoint._spool import Spool
from tripoint._wire import Wire

ROOT = Path(__file__).resolve().parents[1]
PROMPT = ("please check the status of my delivery and explain why it was late " * 20)[:1024]
ANSWER = ("the invoice was paid and the order left the depot yesterday " * 12)[:512]
ASKED = [{"role": "user", "content": PROMPT}]
Work = Callable[[int], None]


class Sink(threading.Thread):
    """A collector in a process of its own would cost nothing here; one that only reads costs little, and the
    same for everybody."""

    def __init__(self, port: int = 0, count: bool = False) -> None:
        super().__init__(daemon=True)
        self.spans = 0
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if count:
                    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                        sink.spans += sum(len(scope.spans) for scope in group.scope_spans)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.start()

    def run(self) -> None:
        self.server.serve_forever()


def bare_provider(url: str) -> TracerProvider:
    provider = TracerProvider(resource=Resource.create({"service.name": "bench"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces"), 65_536))
    return provider


def our_provider(url: str) -> tuple[TracerProvider, Spool]:
    provider = TracerProvider(resource=Resource.create({"service.name": "bench"}), shutdown_on_exit=False)
    spool = Spool(Wire(url, "tp_bench"))
    provider.add_span_processor(tripoint.ContextSpanProcessor())
    provider.add_span_processor(spool)
    return provider, spool


def said_by_hand(span: object, number: int) -> None:
    put = span.set_attribute  # type: ignore[attr-defined]
    put("tripoint.feature", "chat")
    put("user.id", f"user-{number % 500}")
    put("session.id", f"session-{number % 2000}")
    put("tripoint.tenant", "acme")
    put("tripoint.plan", "pro")
    put("tripoint.tier", "premium")
    put("tripoint.tag.team", "search")


def called_by_hand(span: object) -> None:
    put = span.set_attribute  # type: ignore[attr-defined]
    put("gen_ai.operation.name", "chat")
    put("gen_ai.provider.name", "openai")
    put("gen_ai.request.model", "gpt-4o")
    put("gen_ai.request.temperature", 0.2)
    put("gen_ai.request.max_tokens", 1024)
    put("gen_ai.response.model", "gpt-4o-2024-08-06")
    put("gen_ai.response.id", "chatcmpl-1")
    put("gen_ai.response.finish_reasons", ("stop",))
    put("gen_ai.usage.input_tokens", 321)
    put("gen_ai.usage.output_tokens", 123)


def bare(tracer: Tracer, content: bool) -> Work:
    def call(number: int) -> None:
        with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT) as span:
            said_by_hand(span, number)
            called_by_hand(span)
            if content:
                span.set_attribute("gen_ai.input.messages", _call._messages(ASKED, "user"))
                span.set_attribute("gen_ai.output.messages", _call._messages(ANSWER, "assistant"))

    return call


def who(number: int) -> tripoint.context:
    return tripoint.context(
        feature="chat",
        user=f"user-{number % 500}",
        session=f"session-{number % 2000}",
        tenant="acme",
        plan="pro",
        tier="premium",
        team="search",
    )


def ours(content: bool) -> Work:
    def call(number: int) -> None:
        asked = ASKED if content else None
        with (
            who(number),
            tripoint.llm_call(
                "gpt-4o", provider="openai", input=asked, temperature=0.2, max_tokens=1024
            ) as said,
        ):
            said.response(model="gpt-4o-2024-08-06", id="chatcmpl-1", finish_reason="stop")
            said.usage(input_tokens=321, output_tokens=123)
            if content:
                said.output(ANSWER)

    return call


def around(tracer: Tracer) -> Work:
    """`context` around the span of another instrumentation."""

    def call(number: int) -> None:
        with who(number), tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT) as span:
            called_by_hand(span)

    return call


def measured(work: Work, flush: Callable[[], object], calls: int) -> float:
    """CPU µs a call of the whole process, sending and the sink's reading included."""
    before = time.process_time()
    for number in range(calls):
        work(number)
        if number % 200 == 199:
            time.sleep(0.005)  # an application waits for its models; let those who send do so
    flush()
    return (time.process_time() - before) / calls * 1e6


def compare(calls: int, rounds: int) -> None:
    sink = Sink()
    plain = bare_provider(sink.url)
    provider, spool = our_provider(sink.url)
    _call._tracer = provider.get_tracer("tripoint")
    tracer, theirs = plain.get_tracer("bench"), provider.get_tracer("bench")

    def sent() -> bool:
        return spool.flush(60)

    cases: dict[str, tuple[Work, Callable[[], object], str]] = {
        "bare span": (bare(tracer, False), plain.force_flush, "bare span"),
        "context + llm_call": (ours(False), sent, "bare span"),
        "context + span of others": (around(theirs), sent, "bare span"),
        "bare span, content": (bare(tracer, True), plain.force_flush, "bare span, content"),
        "context + llm_call, content": (ours(True), sent, "bare span, content"),
        "the same, redacted": (ours(True), sent, "bare span, content"),
    }
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(rounds + 1):
        for name, (work, flush, _) in cases.items():
            redact = str.upper if "redacted" in name else None
            _content.obey(Policy(redact=redact))
            figure = measured(work, flush, calls)
            if turn:  # the first round warms up
                figures[name].append(figure)
    print(f"{'CPU µs per call, sending included':38}{'median':>8}{'ratio':>8}")
    for name, (_, _, yardstick) in cases.items():
        ratios = [mine / base for mine, base in zip(figures[name], figures[yardstick], strict=True)]
        print(f"  {name:36}{statistics.median(figures[name]):8.1f}{statistics.median(ratios):8.2f}")
    _content.obey(Policy())
    spool.close(5)
    plain.shutdown()


def instrumented(rounds: int) -> None:
    """The real client on a transport that answers at once: by itself, under an instrumentation that sends by
    OpenTelemetry's exporter, and under ours. What an instrumentation patches it patches for the whole process, so
    each has one of its own; the rounds alternate between them."""
    whose = [("bare", "bare"), *((kind, name) for name in CLIENTS for kind in ("theirs", "ours"))]
    figures: dict[tuple[str, str], list[dict[str, float]]] = {case: [] for case in whose}
    for _ in range(rounds):
        for kind, name in whose:
            command = [sys.executable, "-m", "benchmarks.sdk", "--client", kind, "--by", name]
            told = {**os.environ, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY"}
            done = subprocess.run(command, env=told, stdout=subprocess.PIPE, text=True, check=True)
            figures[kind, name].append(json.loads(done.stdout))
    print(f"{'CPU µs per call, openai client':30}{'bare':>9}{'theirs':>9}{'ours':>9}{'added':>9}{'ratio':>8}")
    for name in CLIENTS:
        for form in ("plain", "streamed"):
            # The least of all: a busy machine only ever adds.
            bare, theirs, mine = (
                min(figure[form] for figure in figures[case])
                for case in (("bare", "bare"), ("theirs", name), ("ours", name))
            )
            shown = f"{bare:9.0f}{theirs:9.0f}{mine:9.0f}{mine - theirs:9.0f}{mine / theirs:8.2f}"
            print(f"  {name + ', ' + form:28}{shown}")


# What `instrument_openai(prefer=…)` chooses from, of what is installed here.
CLIENTS = {
    "genai": "opentelemetry.instrumentation.genai.openai",
    "openinference": "openinference.instrumentation.openai",
    "openllmetry": "opentelemetry.instrumentation.openai",
}
USAGE = {"prompt_tokens": 321, "completion_tokens": 123, "total_tokens": 444}
CHUNKS = 32


def answered(request: Any) -> Any:
    """What a provider answers, plain or streamed in 32 pieces, at once."""
    import httpx2

    head = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-2024-08-06"}
    if not json.loads(request.content).get("stream"):
        message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}
        whole = {**head, "object": "chat.completion", "usage": USAGE, "choices": [message]}
        return httpx2.Response(200, json=whole)
    head["object"] = "chat.completion.chunk"
    size = len(ANSWER) // CHUNKS
    deltas: list[dict[str, object]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": ANSWER[size * n : size * (n + 1)]} for n in range(CHUNKS)]
    events: list[object] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({**head, "choices": [], "usage": USAGE})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return httpx2.Response(200, text=body, headers={"content-type": "text/event-stream"})


def set_up(whose: str, by: str, url: str) -> Callable[[], object]:
    """Instrument this process; returns what flushes."""
    if whose == "ours":
        tripoint.init(url, "tp_bench")
        chosen = tripoint.instrument_openai(prefer=by)  # type: ignore[arg-type]
        assert chosen and chosen.replace("-", ".") == CLIENTS[by], chosen
        return tripoint.flush
    if whose == "theirs":
        provider = bare_provider(url)
        trace.set_tracer_provider(provider)
        import_module(CLIENTS[by]).OpenAIInstrumentor().instrument()
        return provider.force_flush
    return lambda: None


def client(whose: str, by: str, calls: int) -> None:
    """Print the CPU µs of a plain and of a streamed call of the openai client, as JSON."""
    import httpx2
    import openai

    http = httpx2.Client(transport=httpx2.MockTransport(answered))
    flush = set_up(whose, by, Sink().url)
    model = openai.OpenAI(api_key="k", http_client=http)
    asked: dict[str, Any] = {"model": "gpt-4o", "messages": ASKED}

    def plain() -> None:
        model.chat.completions.create(**asked)

    def streamed() -> None:
        for _ in model.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
            pass

    found = {}
    for form, call in (("plain", plain), ("streamed", streamed)):

        def work(number: int, call: Callable[[], None] = call) -> None:
            if whose != "ours":
                call()
                return
            with who(number):
                call()

        measured(work, flush, calls // 5)
        found[form] = min(measured(work, flush, calls // 5) for _ in range(5))
    print(json.dumps(found))


def import_ms() -> float:
    """CPU of a fresh interpreter that imports the SDK and sets it up, less that of one that does nothing."""

    def spent(code: str) -> float:
        report = "\nimport time; print(time.process_time())"
        done = subprocess.run(
            [sys.executable, "-c", code + report], capture_output=True, text=True, check=True
        )
        return float(done.stdout) * 1000

    code = "import tripoint, os; tripoint.init(key='k')"
    return statistics.median(spent(code) - spent("pass") for _ in range(7))


def distributions() -> set[str]:
    """What `pip install tripoint` brings, read from what is installed here."""
    found = {"tripoint"}
    wanted = tomllib.loads((ROOT / "sdk" / "pyproject.toml").read_text())["project"]["dependencies"]
    while wanted:
        requirement = wanted.pop()
        marker = requirement.partition(";")[2]
        name = re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement).group()).lower()  # type: ignore[union-attr]
        if "extra ==" in marker or name in found:
            continue
        try:
            wanted += metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # a marker of another platform or Python
        found.add(name)
    return found


def outage(seconds: float, rate: float) -> None:
    """The collector is away while calls are made, then comes back."""
    gone = Sink()
    port = int(gone.server.server_address[1])
    gone.server.shutdown()
    gone.server.server_close()
    provider, spool = our_provider(f"http://127.0.0.1:{port}")
    _call._tracer = provider.get_tracer("tripoint")
    work, made, began = ours(True), 0, time.monotonic()
    spent: list[float] = []
    while (now := time.monotonic()) - began < seconds:
        while made < (now - began) * rate:
            before = time.thread_time()
            work(made)
            spent.append(time.thread_time() - before)
            made += 1
        time.sleep(1 / rate)
    held = spool._held_bytes
    sink = Sink(port, count=True)
    spool.flush(60)
    print(
        f"outage of {seconds:.0f} s at {rate:.0f} calls/s with content: {made} calls, {sink.spans} arrived, "
        f"{made - sink.spans} lost, {held / 2**20:.1f} MiB were held; "
        f"CPU µs in the caller's thread: median {statistics.median(spent) * 1e6:.0f}, "
        f"p99 {statistics.quantiles(spent, n=100)[98] * 1e6:.0f}"
    )
    spool.close(5)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sdk", description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--outage", type=float, default=5, help="seconds without a collector")
    parser.add_argument("--rate", type=float, default=200, help="calls a second during the outage")
    parser.add_argument(
        "--client", choices=("bare", "theirs", "ours"), help="the openai client, in this process"
    )
    parser.add_argument("--by", choices=("bare", *CLIENTS), default="genai", help="its instrumentation")
    parser.add_argument("--client-rounds", type=int, default=5, help="processes for each of these")
    given = parser.parse_args(arguments if arguments is not None else [])
    if given.client:
        client(given.client, given.by, given.calls // 8)
        return
    logging.getLogger("tripoint").setLevel(logging.CRITICAL)
    compare(given.calls, given.rounds)
    instrumented(given.client_rounds)
    print(f"import and init: {import_ms():.0f} ms CPU")
    names = distributions()
    print(f"distributions: {len(names)} ({', '.join(sorted(names))})")
    outage(given.outage, given.rate)


if __name__ == "__main__":
    main(sys.argv[1:])
