"""The tables of the review queue: what people are to label, and whose turn it is. `migrations/` builds them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from core.store.tables import INSTANT, NOW, metadata

_EMPTY = text("''")

review_plan = Table(
    "review_plan",
    metadata,
    Column("project_id", Integer, ForeignKey("project.id", ondelete="CASCADE"), primary_key=True),
    Column("rubric_name", Text, primary_key=True),
    Column("a_day", Integer, nullable=False),
    Column("second_share", Double, nullable=False),
    Column("salt", Text, nullable=False),
    Column("filled_on", Date),
    Column("set_at", INSTANT, nullable=False, server_default=NOW),
    Column("set_by", Text, nullable=False, server_default=_EMPTY),
)

review = Table(
    "review",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("project_id", Integer, ForeignKey("project.id", ondelete="CASCADE"), nullable=False),
    Column("rubric_id", BigInteger, ForeignKey("rubric.id"), nullable=False),
    Column("rubric_name", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("span_id", Text, nullable=False),
    Column("started_at", INSTANT, nullable=False),
    Column("raters", SmallInteger, nullable=False, server_default=text("1")),
    Column("place", Double, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'open'")),
    Column("created_at", INSTANT, nullable=False, server_default=NOW),
    Column("created_by", Text, nullable=False, server_default=_EMPTY),
    UniqueConstraint("project_id", "trace_id", "span_id", "day", "rubric_name"),
    Index("review_open_idx", "project_id", "place", postgresql_where=text("state = 'open'")),
    Index("review_rubric_idx", "project_id", "rubric_name", "started_at"),
)

review_turn = Table(
    "review_turn",
    metadata,
    Column("project_id", Integer, nullable=False),
    Column("review_id", BigInteger, ForeignKey("review.id", ondelete="CASCADE"), primary_key=True),
    Column("rater", Text, primary_key=True),
    Column("outcome", Text, nullable=False, server_default=text("'leased'")),
    Column("leased_until", INSTANT, nullable=False),
    Column("reason", Text),
    Column("at", INSTANT, nullable=False, server_default=NOW),
    Index("review_turn_rater_idx", "project_id", "rater", "outcome"),
)
