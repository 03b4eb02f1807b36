"""The quick benchmarks: `make bench`. One of all, with flags: `python -m benchmarks sdk --rounds 9`."""

from __future__ import annotations

import sys

from benchmarks import ingest, judging, pages, queries, sdk, statistics

QUICK = {"ingest": ingest.main, "queries": queries.main, "sdk": sdk.main}
PARTS = {**QUICK, "judging": judging.main, "pages": pages.main, "statistics": statistics.main}

if sys.argv[1:]:
    if sys.argv[1] not in PARTS:
        sys.exit(f"There is no benchmark {sys.argv[1]!r}; there are {', '.join(PARTS)}.")
    PARTS[sys.argv[1]](sys.argv[2:])
else:
    for part in QUICK.values():
        part()
        print()
