"""A realistic workload, made up on the spot, sent as any application would send it."""
