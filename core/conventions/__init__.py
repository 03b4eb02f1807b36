"""Attribute names → fields: one table a family, one reader for all of them."""

from core.conventions.content import content_from_span
from core.conventions.evaluation import scores_from_span
from core.conventions.read import record_from_span

__all__ = ["content_from_span", "record_from_span", "scores_from_span"]
