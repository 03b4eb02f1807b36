"""What things are, cost and mean: pure functions on frozen values.

Nothing here reads a clock, the environment or a socket, except `core.store`, the only room with SQL.
"""
