"""All benchmarks with small defaults: `make bench`."""

from __future__ import annotations

from benchmarks import ingest, queries

ingest.main()
print()
queries.main()
