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

from benchmarks import place
from collector.decode import decode_traces
from collector.read import Clocks, in_range, read_spans
from core.conventions import content_from_span, record_from_span
from core.pricing.price import price_request
from core.request import RequestRecord
from core.store.intake import Batch, append, content_rows, request_rows
from core.store.prices import load_book
from core.store.session import open_engine, transaction

# (spans a body, connections, spans)
LOADS = ((1, 64, 4_000), (50, 4, 20_000), (500, 4, 30_000))


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
    return median(result["accepted"] / result["cpu_s"] for result in results)


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
    sys.path.insert(0, str(place.SHARED_BENCH))
    import otlp_gen  # type: ignore[import-not-found]

    engine = open_engine(base.app_url)
    with transaction(engine) as connection:
        book = load_book(connection)
    now = datetime.now(UTC)
    clocks = Clocks(now, timedelta(days=90), timedelta(days=1))
    postmaster = base.postmaster
    print("\nStep by step, in this process: CPU µs a span, median over bodies")
    print(f"{'':44}{'batch 1':>9}{'batch 50':>9}{'batch 500':>10}")
    table: dict[str, list[float]] = {}
    for batch, count in ((1, 200), (50, 60), (500, 16)):
        templates = otlp_gen.templates(batch)
        bodies = [templates[n % len(templates)].body() for n in range(count)]
        decoded = [decode_traces(body, "protobuf") for body in bodies]
        records = [[record_from_span(span) for span in one.spans] for one in decoded]
        requests = [[r for r in one if isinstance(r, RequestRecord)] for one in records]
        batches = [read_spans(one, base.project, book, clocks, True)[0] for one in decoded]
        bare = [Batch(one.project_id, one.requests) for one in batches]
        for one in batches[: len(batches) // 4]:
            append(engine, [one])
        batches = [
            read_spans(one, base.project, book, clocks, True)[0]
            for one in map(_again(otlp_gen, batch), bodies)
        ]
        rows: list[tuple[str, Callable[[Any], object], Sequence[Any], Callable[[], float]]] = [
            ("protobuf parse alone", ExportTraceServiceRequest.FromString, bodies, time.process_time),
            (
                "decode (parse included)",
                lambda body: decode_traces(body, "protobuf"),
                bodies,
                time.process_time,
            ),
            ("record", lambda one: [record_from_span(s) for s in one.spans], decoded, time.process_time),
            (
                "price",
                lambda one: [in_range(price_request(r, book)) for r in one],
                requests,
                time.process_time,
            ),
            (
                "find content",
                lambda one: [content_from_span(s) for s in one.spans],
                decoded,
                time.process_time,
            ),
            ("rows", lambda one: list(request_rows([one])), bare, time.process_time),
            ("content rows (zstd)", lambda one: list(content_rows([one])), batches, time.process_time),
        ]
        for name, work, inputs, clock in rows:
            table.setdefault(name, []).append(_us(work, inputs, batch, clock))
        ours, theirs = _write_us(lambda one: append(engine, [one]), batches, batch, postmaster)
        table.setdefault("write, this process (rows included)", []).append(ours)
        table.setdefault("write, PostgreSQL", []).append(theirs)
    engine.dispose()
    for name, figures in table.items():
        print(f"{name:44}{figures[0]:>9.1f}{figures[1]:>9.1f}{figures[2]:>10.1f}")


def _again(otlp_gen: Any, batch: int) -> Callable[[bytes], Any]:
    """Fresh bodies of the same size, so that a write meets no duplicates."""
    templates = otlp_gen.templates(batch)
    return lambda body: decode_traces(templates[len(body) % len(templates)].body(), "protobuf")


def _us(
    work: Callable[[Any], object], inputs: Sequence[Any], batch: int, clock: Callable[[], float]
) -> float:
    times = []
    for one in inputs:
        start = clock()
        work(one)
        times.append((clock() - start) / batch * 1e6)
    return median(times)


def _write_us(
    work: Callable[[Any], object], inputs: Sequence[Any], batch: int, postmaster: int
) -> tuple[float, float]:
    """Mean CPU µs a span of this process and of all PostgreSQL processes."""
    theirs, ours = place.cpu_s(postmaster), time.process_time()
    for one in inputs:
        work(one)
    spans = len(inputs) * batch
    ours = time.process_time() - ours
    return ours / spans * 1e6, (place.cpu_s(postmaster) - theirs) / spans * 1e6


if __name__ == "__main__":
    main(sys.argv[1:])
