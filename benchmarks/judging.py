"""Are ten thousand answers judged, each once and within the budget, whatever goes wrong on the way?

    python -m benchmarks judging [--requests 10000] [--broker redis://… or amqp://…]

Real workers on a real database and broker ask a local endpoint that answers with recorded GPT-4 scores, fails 5 % of
the calls, brings garbage 2 % of the time and refuses in bursts; one worker is killed at work. Then a second, small
budget is shown to hold. Printed: how every judgement ended, what was spent of what, and the workers' CPU a judgement.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from sqlalchemy import Engine, text

from benchmarks.place import ROOT, Database, database, free_port, owner
from core.judging.judge import judge_from_json
from core.judging.policy import Policy
from core.judging.rubric import rubric_from_json
from core.money import PICO, to_decimal_string
from core.pricing.price import Priced
from core.request import Content, Context, RequestRecord
from core.store import judges
from core.store.intake import Batch, append
from core.store.rows import nanoseconds
from core.store.session import tenant
from core.usage import Usage
from supervisor import folder as folders
from supervisor import valkey
from supervisor.child import Child, stop_together

DATA = ROOT.parent / "shared" / "data" / "summeval_llm_judges" / "summeval_judge_scores.csv.gz"
RUBRIC = {
    "name": "coherence",
    "title": "Coherence",
    "dimensions": [
        {
            "name": "coherence",
            "question": "Is the summary well structured?",
            "levels": ["not at all", "hardly", "somewhat", "mostly", "fully"],
        }
    ],
}
_UNPRICED = Priced("unpriced", "no_provider", None, None, None, (), {})


def recorded() -> list[list[int]]:
    """[level, input tokens, output tokens] of GPT-4's verdicts on SummEval's summaries."""
    with gzip.open(DATA, "rt") as file:
        rows = list(csv.DictReader(file))
    return [
        [
            round(float(row["judge:gpt-4-0314/rts"])),
            int(row["gpt4_prompt_tokens"] or 580),
            int(row["gpt4_completion_tokens"] or 40),
        ]
        for row in rows
        if row["judge:gpt-4-0314/rts"]
    ]


def fill(engine: Engine, project: int, many: int, now: datetime, name: str = "answers") -> None:
    """So many settled requests of the last hours, with their content."""
    for first in range(0, many, 1000):
        records, contents = [], []
        for number in range(first, min(first + 1000, many)):
            started = nanoseconds(now - timedelta(seconds=1 + number % 3000))
            trace = hashlib.sha256(f"{name}/{number}".encode()).hexdigest()[:32]
            records.append(
                RequestRecord(
                    trace_id=trace,
                    span_id=f"{number + 1:016x}",
                    started_ns=started,
                    duration_ns=800_000_000,
                    name="chat",
                    source="benchmark",
                    context=Context(feature=name, tier="standard"),
                    provider="openai",
                    request_model="gpt-4o-mini",
                    usage=Usage(uncached_input=500, visible_output=60, reading="inclusive"),
                )
            )
            asked = json.dumps([{"role": "user", "content": f"Summarise item-{number}, please."}])
            answered = json.dumps([{"role": "assistant", "content": f"A summary of item-{number}."}])
            contents.append(Content(trace, f"{number + 1:016x}", started, asked, answered))
        append(engine, [Batch(project, [(one, _UNPRICED) for one in records], contents=contents)])
    with tenant(engine, project) as connection:
        connection.execute(text("UPDATE request SET state = 'settled'"))
        connection.execute(text("DELETE FROM unsettled"))


@contextmanager
def broker(url: str | None) -> Iterator[str]:
    """The one that is named, or the embedded one in a folder of its own."""
    if url:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="tp-bench-") as place:
        Path(place).chmod(0o755)  # Valkey may run as another user
        folder = folders.prepare(folders.create_data_folder(Path(place) / "data"), lambda step: None)
        child = Child(valkey.command(folder), folder.log("valkey"))
        try:
            child.wait_ready()
            yield valkey.broker_url(folder)
        finally:
            stop_together([child], hurried=lambda: False)


def worker(base: Database, broker_url: str, data: str, queue: str, *, beat: bool) -> subprocess.Popen[bytes]:
    """A worker process as an operator starts it."""
    environment = {
        **os.environ,
        "TRIPOINT_DATABASE_URL": base.app_url,
        "TRIPOINT_BROKER_URL": broker_url,
        "TRIPOINT_DATA": data,
        "TRIPOINT_LOG_LEVEL": "error",
    }
    command = [sys.executable, "-m", "cli", "work", "--queue", queue, "--beat" if beat else "--no-beat"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and its children, threads that have ended included."""
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            spent = process.cpu_times()
            total += spent.user + spent.system + spent.children_user + spent.children_system
    return total


def states(engine: Engine, project: int, feature_policy: int) -> dict[str, int]:
    """Judgements of a policy by how they stand."""
    with tenant(engine, project) as connection:
        rows = connection.execute(
            text("SELECT state, count(*) AS many FROM judging WHERE policy_id = :policy GROUP BY state"),
            {"policy": feature_policy},
        )
        return {row.state: row.many for row in rows}


def policy(engine: Engine, project: int, name: str, now: datetime) -> int:
    """Judge all requests of the feature `name`."""
    with tenant(engine, project) as connection:
        return judges.start_policy(
            connection,
            project,
            Policy(wanted_a_day=1_000_000, filters={"feature": (name,)}),
            rubric_from_json(RUBRIC),
            "recorded",
            None,
            now - timedelta(days=1),
            f"salt of {name}",
            "benchmark",
            now,
        )


def main(arguments: Sequence[str] = ()) -> None:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks judging")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--broker", help="a broker's URL; the embedded Valkey where left out")
    options = parser.parse_args(arguments)
    if not DATA.exists():
        print("judging: skipped, the recorded scores are not beside the checkout")
        return
    with (
        tempfile.TemporaryDirectory() as data,
        database() as base,
        owner(base.owner_url) as engine,
        broker(options.broker) as broker_url,
    ):
        _run(base, engine, broker_url, data, options.requests)


def _run(base: Database, engine: Engine, broker_url: str, data: str, many: int) -> None:
    now = datetime.now(UTC)
    port = free_port()
    scores = Path(data) / "scores.json"
    scores.write_text(json.dumps(recorded()))
    endpoint = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.recorded_judge", str(port), str(scores)], cwd=ROOT
    )
    fill(engine, base.project, many, now)
    with tenant(engine, base.project) as connection:
        judges.set_budget(connection, base.project, 200 * PICO, "benchmark", now)
        made = judge_from_json(
            {
                "name": "recorded",
                "kind": "openai",
                "model": "gpt-4-0314",
                "base_url": f"http://127.0.0.1:{port}/v1",
                "at_once": 16,
                "timeout_s": 3,
                "input_usd_per_million": "2",
                "output_usd_per_million": "8",
            }
        )
        judges.save_judge(connection, base.project, made, "benchmark")
    first = policy(engine, base.project, "answers", now)
    workers = [worker(base, broker_url, data, "settling", beat=True)]
    workers += [worker(base, broker_url, data, "judging", beat=False) for _ in range(2)]
    try:
        _judge_all(engine, base, first, many, workers, port)
        _small_budget(engine, base, many // 20, now)
    finally:
        for process in [*workers, endpoint]:
            process.terminate()
        for process in [*workers, endpoint]:
            process.wait(30)


def _judge_all(
    engine: Engine,
    base: Database,
    number: int,
    many: int,
    workers: list[subprocess.Popen[bytes]],
    port: int,
) -> None:
    began, killed_at, cpu = time.monotonic(), None, dict[int, float]()
    while True:
        time.sleep(0.5)
        found = states(engine, base.project, number)
        ended = found.get("scored", 0) + found.get("failed", 0)
        for process in workers:
            if process.poll() is None:
                cpu[process.pid] = cpu_s(process.pid)
        if killed_at is None and ended > many // 3:
            os.killpg(workers[-1].pid, signal.SIGKILL)
            killed_at = ended
        if sum(found.values()) >= many and ended == sum(found.values()):
            break
        if time.monotonic() - began > 1800:
            print("gave up after half an hour")
            break
    took = time.monotonic() - began
    with tenant(engine, base.project) as connection:
        budget = judges.budget(connection, datetime.now(UTC).date())
        twice = connection.execute(
            text(
                "SELECT count(*) FROM (SELECT tags->>'judged' FROM request WHERE source = 'tripoint.judge'"
                " AND status = 'ok' GROUP BY 1, tags->>'rubric' HAVING count(*) > 1) AS again"
            )
        ).scalar_one()
        unreadable = connection.execute(text("SELECT coalesce(sum(unreadable), 0) FROM judging")).scalar_one()
        reasons = connection.execute(
            text(
                "SELECT reason, count(*) FROM judging WHERE state = 'failed' GROUP BY 1 ORDER BY 2 DESC LIMIT 5"
            )
        ).all()
        mean, truth = connection.execute(
            text("SELECT avg((scores->>'coherence')::float), count(*) FROM judging WHERE state = 'scored'")
        ).one()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        told = json.load(answer)
    judged = sum(cpu.values())
    print(f"{many} requests drawn; a worker was killed after {killed_at}: {found} in {took:.0f} s")
    for reason, count in reasons:
        print(f"  failed {count}: {reason}")
    print(f"the endpoint: {told}; replies read as unreadable {unreadable}")
    print(f"mean of {truth} scores {mean:.4f}")
    print(
        f"spent {to_decimal_string(budget.spent_pico)} of {to_decimal_string(budget.limit_pico or 0)} USD,"
        f" {to_decimal_string(budget.reserved_pico)} set aside; answered more than once {twice}"
        f" (unreadable ones are asked again)"
    )
    print(f"CPU of the workers {judged:.1f} s: {1000 * judged / max(ended, 1):.2f} ms a judged request")


def _small_budget(engine: Engine, base: Database, many: int, now: datetime) -> None:
    with tenant(engine, base.project) as connection:
        spent = judges.budget(connection, datetime.now(UTC).date()).spent_pico
        limit = spent + PICO // 10
        judges.set_budget(connection, base.project, limit, "benchmark", now)
        judges.end_policy(connection, base.project, "coherence", "benchmark", now)
    fill(engine, base.project, many, now, "more")
    number = policy(engine, base.project, "more", now)
    began, before = time.monotonic(), -1
    while time.monotonic() - began < 120:
        time.sleep(4)
        found = states(engine, base.project, number)
        if found and found.get("asked", 0) == 0 and found.get("scored", 0) == before:
            break
        before = found.get("scored", 0)
    with tenant(engine, base.project) as connection:
        budget = judges.budget(connection, datetime.now(UTC).date())
    assert budget.limit_pico is not None
    print(
        f"0.1 USD more for {many} requests: {found}; spent {to_decimal_string(budget.spent_pico)} of"
        f" {to_decimal_string(budget.limit_pico)} USD"
        f" ({'within' if budget.spent_pico <= budget.limit_pico else 'OVER'} the budget)"
    )
