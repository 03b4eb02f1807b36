"""kill -9 at any moment, of anything: what was acknowledged is there, once, and the sums are the truth."""

from __future__ import annotations

import gzip
import json
import os
import random
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from tests import otlp, otlp_protobuf
from tests.conftest import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the built-in stores run on Linux only")

ROOT = Path(__file__).parents[2]
PREY = ("server", "postgres", "supervisor")
FEATURES = ("chat", "search", "review")
CLIENTS = 5
RETRIED = {429, 502, 503, 504}  # what an OpenTelemetry exporter retries; anything else would lose data
# gpt-4o-mini, dollars a million tokens: 0.15 in, 0.60 out.
PICO_IN, PICO_OUT = 150_000, 600_000


@dataclass(frozen=True, slots=True)
class Sent:
    """One body and the requests in it: (trace, span, input tokens, output tokens) each."""

    content: bytes
    headers: dict[str, str]
    feature: str | None
    requests: list[tuple[str, str, int, int]]
    roots: int


def make_body(chance: random.Random) -> Sent:
    """One trace: a lone request, or a root that names the feature with requests below it."""
    size = chance.choices((1, 10, 150), (70, 25, 5))[0]
    trace, root = chance.randbytes(16), chance.randbytes(8)
    feature = chance.choice(FEATURES) if size > 1 else None
    start = time.time_ns() - 10**9
    children = [(chance.randbytes(8), chance.randint(1, 9000), chance.randint(1, 900)) for _ in range(size)]
    requests = [(trace.hex(), span.hex(), tokens_in, tokens_out) for span, tokens_in, tokens_out in children]
    if chance.random() < 0.3:
        content, media_type = _in_json(trace, root, feature, start, requests), "application/json"
    else:
        content = _in_protobuf(trace, root, feature, start, requests)
        media_type = "application/x-protobuf"
    headers = {"content-type": media_type}
    if chance.random() < 0.5:
        content, headers["content-encoding"] = gzip.compress(content, 1), "gzip"
    return Sent(content, headers, feature, requests, roots=int(feature is not None))


Requests = list[tuple[str, str, int, int]]


def _in_json(trace: bytes, root: bytes, feature: str | None, start: int, requests: Requests) -> bytes:
    spans = [
        otlp.llm_span(
            trace_id=trace_id,
            span_id=span_id,
            parent=root.hex() if feature else None,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            start_ns=start,
            input__value="why " * 200,
        )
        for trace_id, span_id, tokens_in, tokens_out in requests
    ]
    if feature:
        spans.append(
            {
                "traceId": trace.hex(),
                "spanId": root.hex(),
                "name": "handle",
                "startTimeUnixNano": str(start),
                "endTimeUnixNano": str(start + 10**9),
                "attributes": [otlp.attribute("tripoint.feature", feature)],
            }
        )
    return otlp.body(*spans)


def _in_protobuf(trace: bytes, root: bytes, feature: str | None, start: int, requests: Requests) -> bytes:
    spans = [
        otlp_protobuf.span(
            trace,
            bytes.fromhex(span_id),
            "chat gpt-4o-mini",
            start,
            500_000_000,
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o-mini",
                "gen_ai.usage.input_tokens": tokens_in,
                "gen_ai.usage.output_tokens": tokens_out,
                "input.value": "why " * 200,
            },
            parent=root if feature else b"",
        )
        for _, span_id, tokens_in, tokens_out in requests
    ]
    if feature:
        spans.append(otlp_protobuf.span(trace, root, "handle", start, 10**9, {"tripoint.feature": feature}))
    return otlp_protobuf.body(spans)


@dataclass
class Load:
    """Clients that send until told to stop and repeat every body until it is acknowledged."""

    url: str
    key: str
    seed: int
    acknowledged: list[Sent] = field(default_factory=list)
    answers: Counter[int | str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{self.seed}-{n}"),))
            for n in range(CLIENTS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Returns once every body that was ever sent is acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a body was never acknowledged"
        assert not self.wrong, self.wrong[:3]

    def _run(self, chance: random.Random) -> None:
        with httpx.Client(timeout=10, trust_env=False) as client:
            while not self._stop.is_set():
                sent = make_body(chance)
                if not self._deliver(client, sent):
                    return
                with self._lock:
                    self.acknowledged.append(sent)
                if chance.random() < 0.1:  # an exporter that missed the answer sends the same again
                    self._deliver(client, sent)
                time.sleep(chance.random() * 0.04)

    def _deliver(self, client: httpx.Client, sent: Sent) -> bool:
        headers = {**sent.headers, "authorization": f"Bearer {self.key}"}
        while True:
            try:
                answer = client.post(f"{self.url}/v1/traces", content=sent.content, headers=headers)
            except httpx.TransportError as error:
                self._count(type(error).__name__)
                time.sleep(0.05)
                continue
            self._count(answer.status_code)
            if answer.status_code == 200:
                return True
            if answer.status_code not in RETRIED:
                self.wrong.append(f"{answer.status_code} {answer.text[:300]}")
                return False
            time.sleep(0.05)

    def _count(self, what: int | str) -> None:
        with self._lock:
            self.answers[what] += 1


@dataclass
class Tripoint:
    """`tripoint up` on one data folder, started as often as it is killed."""

    place: Path
    port: int = field(default_factory=free_port)
    grpc_port: int = field(default_factory=free_port)
    ready: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIPOINT_")}
        ports = ["--port", str(self.port), "--grpc-port", str(self.grpc_port)]
        with (self.place / "up.log").open("a") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "cli",
                    "up",
                    "--data",
                    str(self.place / "data"),
                    *ports,
                    "--no-browser",
                ],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        out = self.process.stdout
        assert out is not None
        line = out.readline() if select.select([out], [], [], 60)[0] else ""
        assert line, f"`tripoint up` did not start: {(self.place / 'up.log').read_text()[-2000:]}"
        self.ready = json.loads(line)

    def kill(self, name: str) -> None:
        """SIGKILL one process; returns when none of them is left."""
        os.kill(self.ready["pids"][name], signal.SIGKILL)
        self._wait_for_nobody()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self._wait_for_nobody()

    def _wait_for_nobody(self) -> None:
        assert self.process is not None
        self.process.wait(20)
        deadline = time.monotonic() + 20
        while left := [pid for pid in self.ready.get("pids", {}).values() if _runs(pid)]:
            assert time.monotonic() < deadline, f"still running: {left}"
            time.sleep(0.02)

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = httpx.get(
            f"{self.ready['url']}{path}",
            params=parameters,
            headers={"authorization": f"Bearer {self.ready['read_key']}"},
            timeout=30,
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def settle(self) -> None:
        answer = httpx.post(
            f"{self.ready['url']}/api/v1/settle",
            headers={"authorization": f"Bearer {self.ready['admin_key']}"},
            timeout=120,
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def tripoint() -> Iterator[Tripoint]:
    # Not pytest's own folder: it is closed to the user that PostgreSQL runs under.
    place = Path(tempfile.mkdtemp(prefix="tp-kill-", dir="/tmp"))
    place.chmod(0o755)
    running = Tripoint(place)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(place, ignore_errors=True)


def test_nothing_acknowledged_is_lost_or_doubled_when_the_database_is_killed(tripoint: Tripoint) -> None:
    survive(tripoint, ["postgres"], seed=secrets.randbits(32))


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_doubled_over_twenty_kills(tripoint: Tripoint) -> None:
    survive(tripoint, [PREY[n % 3] for n in range(20)], seed=secrets.randbits(32))


def survive(tripoint: Tripoint, prey: list[str], seed: int) -> None:
    print(f"seed {seed}")  # shown where the test fails
    chance = random.Random(seed)
    load = Load(tripoint.ready["url"], tripoint.ready["ingest_key"], seed)
    load.start()
    try:
        for name in prey:
            time.sleep(chance.uniform(0.3, 2.5))
            tripoint.kill(name)
            tripoint.start()
        # A busy machine acknowledges little in so short a time: without enough of it nothing would be shown.
        deadline = time.monotonic() + 60
        while len(load.acknowledged) <= 10 * len(prey) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        load.finish()
    print(dict(load.answers))
    assert len(load.acknowledged) > 10 * len(prey)
    assert_rows_are_those_acknowledged(tripoint, load.acknowledged)
    tripoint.settle()
    assert_sums_are_the_truth(tripoint, load.acknowledged)
    assert_rows_are_those_acknowledged(tripoint, load.acknowledged)


def assert_rows_are_those_acknowledged(tripoint: Tripoint, acknowledged: list[Sent]) -> None:
    true = sorted(request for sent in acknowledged for request in sent.requests)
    with psycopg.connect(tripoint.ready["database_url"]) as connection:
        rows = connection.execute(
            "SELECT trace_id, span_id, uncached_input, visible_output FROM request ORDER BY 1, 2"
        ).fetchall()
        (contents,) = connection.execute("SELECT count(*) FROM content").fetchone() or (0,)
        (roots,) = connection.execute("SELECT count(*) FROM context_span").fetchone() or (0,)
    assert rows == true
    assert contents == len(true)
    assert roots == sum(sent.roots for sent in acknowledged)


def assert_sums_are_the_truth(tripoint: Tripoint, acknowledged: list[Sent]) -> None:
    truth: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
    for sent in acknowledged:
        for _, _, tokens_in, tokens_out in sent.requests:
            for group in (sent.feature, "everything"):
                truth[group]["requests"] += 1
                truth[group]["input_tokens"] += tokens_in
                truth[group]["output_tokens"] += tokens_out
                truth[group]["cost"] += tokens_in * PICO_IN + tokens_out * PICO_OUT
    asked = "requests,input_tokens,output_tokens,cost"
    answer = tripoint.get("/api/v1/attribution", group_by="feature", metrics=asked)
    assert answer["coverage"]["provisional"] == 0
    found = {row["feature"]: row for row in answer["rows"]} | {"everything": answer["total"]}
    assert found.keys() == truth.keys()
    for group, sums in truth.items():
        row = {**found[group], "cost": int(Decimal(found[group]["cost"]) * 10**12)}
        assert {name: row[name] for name in sums} == dict(sums)
