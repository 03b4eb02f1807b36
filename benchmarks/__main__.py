"""All benchmarks with small defaults: `make bench`. One of them with flags: `python -m benchmarks sdk --rounds 9`."""

from __future__ import annotations

import sys

from benchmarks import ingest, queries, sdk, statistics

PARTS = {"ingest": ingest.main, "queries": queries.main, "sdk": sdk.main, "statistics": statistics.main}

if sys.argv[1:]:
    if sys.argv[1] not in PARTS:
        sys.exit(f"There is no benchmark {sys.argv[1]!r}; there are {', '.join(PARTS)}.")
    PARTS[sys.argv[1]](sys.argv[2:])
else:
    for part in PARTS.values():
        part()
        print()
