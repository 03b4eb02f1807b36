"""Judges a sample of the answers: draws, asks, scores, watches."""
