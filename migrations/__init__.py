"""Alembic: the ledger from zero. Versions never import live code."""
