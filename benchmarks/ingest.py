"""What one span costs on its way in: whole server under load, and step by step."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sqlalchemy import Engine

from benchmarks import place
from collector.decode import decode_traces
from collector.read import Clocks, in_range, read_spans
from core.conventions import content_from_span, record_from_span
from core.pricing.price import PriceBook, price_request
from core.store.intake import Batch, append, content_rows, request_rows
from core.store.prices import load_book
from core.store.session import open_engine, transaction

# (spans a body, connections, spans)
LOADS = ((1, 64, 4_000), (50, 4, 20_000), (500, 4, 30_000))
# Spans a body → bodies, for the steps.
BODIES = {1: 200, 50: 60, 500: 16}


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser("benchmarks.ingest", description=__doc__)
    parser.add_argument("--runs", type=int, default=1, help="runs of each load; medians are shown")
    parser.add_argument("--scale", type=float, default=1.0, help="times as many spans")
    parser.add_argument("--only", choices=("load", "steps"), help="one of the two tables")
    chosen = parser.parse_args(arguments)
    if not place.SHARED_BENCH.is_dir():
        print(f"ingest: skipped, because the load generator is not at {place.SHARED_BENCH}.")
        return
    with place.database() as base:
        if chosen.only != "steps":
            _under_load(base, chosen.runs, chosen.scale)
        if chosen.only != "load":
            _step_by_step(base)


def _under_load(base: place.Database, runs: int, scale: float) -> None:
    print("Under load: acknowledged spans per CPU second of the server and all PostgreSQL processes")
    print(f"{'':22}{'batch/connections':>18}{'spans/CPU-s':>13}{'of hello':>10}{'p50 ms':>9}{'p99 ms':>9}")
    with (
        place.hello() as (hello_url, hello_pid),
        place.server(base, content=True) as (url, pid),
        place.server(base, content=False) as (bare_url, bare_pid),
    ):
        targets = {
            "hello (reads, stores nothing)": (hello_url, [hello_pid]),
            "tripoint, with content": (url, [pid, base.postmaster]),
            "tripoint, no content": (bare_url, [bare_pid, base.postmaster]),
        }
        for target_url, pids in targets.values():
            _load(target_url, base.ingest_key, pids, 50, 4, 4_000)
        for batch, connections, spans in LOADS:
            found: dict[str, list[dict[str, Any]]] = {name: [] for name in targets}
            for _ in range(runs):  # interleaved, so that the machine's moods hit all alike
                for name, (target_url, pids) in targets.items():
                    count = int(spans * scale)
                    found[name].append(_load(target_url, base.ingest_key, pids, batch, connections, count))
            hello = _spans_per_cpu_s(found["hello (reads, stores nothing)"])
            for name, results in found.items():
                rate = _spans_per_cpu_s(results)
                p50, p99 = (median(result[key] for result in results) for key in ("p50_ms", "p99_ms"))
                load = f"{batch}/{connections}"
                print(f"{name:30}{load:>10}{rate:>13,.0f}{rate / hello:>10.3f}{p50:>9.1f}{p99:>9.1f}")


def _spans_per_cpu_s(results: Iterable[dict[str, Any]]) -> float:
    return float(median(result["accepted"] / result["cpu_s"] for result in results))


def _load(
    url: str, key: str, pids: Sequence[int], batch: int, connections: int, spans: int
) -> dict[str, Any]:
    before = sum(map(place.cpu_s, pids))
    command = [sys.executable, str(place.SHARED_BENCH / "loadgen.py"), "--url", f"{url}/v1/traces"]
    command += ["--header", f"authorization: Bearer {key}", "--batch", str(batch), "--conc", str(connections)]
    done = subprocess.run([*command, "--spans", str(spans)], check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if result["accepted"] != result["sent"]:
        print(f"  not all was accepted: {result['status']} {result['exc']}")
    return {**result, "cpu_s": sum(map(place.cpu_s, pids)) - before}


def _step_by_step(base: place.Database) -> None:
    engine = open_engine(base.app_url)
    with transaction(engine) as connection:
        book = load_book(connection)
    print("\nStep by step, in this process: CPU µs a span, median over bodies (PostgreSQL: mean)")
    print(f"{'':44}" + "".join(f"{f'batch {batch}':>11}" for batch in BODIES))
    columns = [_steps(base, engine, book, batch, count) for batch, count in BODIES.items()]
    engine.dispose()
    for name in columns[0]:
        print(f"{name:44}" + "".join(f"{column[name]:>11.1f}" for column in columns))


def _steps(base: place.Database, engine: Engine, book: PriceBook, batch: int, count: int) -> dict[str, float]:
    """Step → µs a span, for `count` bodies of `batch` spans."""
    clocks = Clocks(datetime.now(UTC), timedelta(days=90), timedelta(days=1))

    def read(body: bytes) -> Batch:
        return read_spans(decode_traces(body, "protobuf"), base.project, book, clocks, True)[0]

    for body in _bodies(batch, max(count // 4, 8)):  # the first writes make partitions and plans
        append(engine, [read(body)])
    bodies = _bodies(batch, count)
    decoded = [decode_traces(body, "protobuf").spans for body in bodies]
    batches = [read(body) for body in bodies]
    records = [[record for record, _ in one.requests] for one in batches]
    found = {
        "protobuf parse alone": _us(ExportTraceServiceRequest.FromString, bodies),
        "decode (parse included)": _us(lambda body: decode_traces(body, "protobuf"), bodies),
        "record": _us(lambda spans: [record_from_span(span) for span in spans], decoded),
        "price": _us(lambda some: [in_range(price_request(record, book)) for record in some], records),
        "find content": _us(lambda spans: [content_from_span(span) for span in spans], decoded),
        "rows": _us(lambda one: list(request_rows([one])), batches),
        "content rows (zstd)": _us(lambda one: list(content_rows([one])), batches),
    }
    before = place.cpu_s(base.postmaster)
    found["write, this process (rows included)"] = _us(lambda one: append(engine, [one]), batches)
    found["write, PostgreSQL"] = (place.cpu_s(base.postmaster) - before) / count * 1e6
    return {name: us / batch for name, us in found.items()}


def _bodies(batch: int, count: int) -> list[bytes]:
    sys.path.insert(0, str(place.SHARED_BENCH))
    import otlp_gen  # type: ignore[import-not-found]

    templates = otlp_gen.templates(batch)
    return [templates[n % len(templates)].body() for n in range(count)]


def _us(work: Callable[[Any], object], inputs: Iterable[Any]) -> float:
    """Median CPU µs of this process for one input."""
    times = []
    for one in inputs:
        start = time.process_time()
        work(one)
        times.append(time.process_time() - start)
    return median(times) * 1e6


if __name__ == "__main__":
    main(sys.argv[1:])
