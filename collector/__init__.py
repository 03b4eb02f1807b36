"""OTLP in: HTTP and gRPC, decode, read, price, commit, answer; then settle."""
