"""What Tripoint costs, in CPU time; see README.md for how to read it."""
