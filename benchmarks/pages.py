"""What each page costs the server over a month of requests: time to the whole answer, cold start excluded."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import median

import httpx

import launch
from benchmarks import place, queries

PAGES = (
    "/overview?last=7",
    "/overview",
    "/attribution",
    "/attribution?group_by=user",
    "/attribution?interval=day&group_by=feature,tier",
    "/requests",
    "/values?dimension=user&prefix=user-1",
    "/settings/keys",
)


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser("benchmarks.pages", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args(arguments)
    with place.database() as base:
        start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        start -= timedelta(days=queries.DAYS - 1)
        with place.owner(base.owner_url) as owner:
            queries._fill(owner, base.project, start, chosen.rows)
            with place.server(base, content=False) as (url, pid):
                link = launch.sign_in_url(url, owner, base.project)
                with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
                    client.get(link)
                    _print(client, base, pid, chosen.rows, chosen.runs)


def _a_trace(client: httpx.Client) -> str:
    """The newest request's trace."""
    found = re.search(r'href="(/traces/[0-9a-f]{32})', client.get("/requests").text)
    assert found, "the page of requests leads to no trace"
    return found[1]


def _print(client: httpx.Client, base: place.Database, pid: int, rows: int, runs: int) -> None:
    print(f"Pages over {rows:,} requests of {queries.DAYS} days: ms, median of {runs} (CPU: mean)")
    print(f"{'':52}{'wall':>8}{'server CPU':>12}{'PG CPU':>9}{'kB':>7}")
    for path in (*PAGES, _a_trace(client)):
        size = len(client.get(path).raise_for_status().content)
        walls, before = [], (place.cpu_s(pid), place.cpu_s(base.postmaster))
        for _ in range(runs):
            begin = time.perf_counter()
            client.get(path).raise_for_status()
            walls.append(time.perf_counter() - begin)
        server, postgres = (
            (after - was) / runs * 1e3
            for after, was in zip((place.cpu_s(pid), place.cpu_s(base.postmaster)), before, strict=True)
        )
        print(f"{path:52}{median(walls) * 1e3:>8.0f}{server:>12.0f}{postgres:>9.0f}{size / 1000:>7.0f}")


if __name__ == "__main__":
    main(sys.argv[1:])
