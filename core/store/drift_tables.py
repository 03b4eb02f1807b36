"""The tables of drift: streams, their watches, anchors, alerts and deliveries. `migrations/` builds them."""

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
from sqlalchemy.dialects.postgresql import JSONB

from core.store import judge_tables
from core.store.tables import INSTANT, NOW, metadata

_NONE = text("0")
_EMPTY = text("''")


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def _project(primary_key: bool = False) -> Column[int]:
    return Column(
        "project_id",
        Integer,
        ForeignKey("project.id", ondelete="CASCADE"),
        nullable=False,
        primary_key=primary_key,
        autoincrement=False,
    )


def _of(
    name: str, target: str, *, key: bool = False, nullable: bool = False, gone: bool = False
) -> Column[int]:
    return Column(
        name,
        BigInteger,
        ForeignKey(target, ondelete="CASCADE" if gone else None),
        nullable=nullable,
        primary_key=key,
        autoincrement=False,
    )


def _made() -> list[Column[object]]:
    return [
        Column("created_at", INSTANT, nullable=False, server_default=NOW),
        Column("created_by", Text, nullable=False, server_default=_EMPTY),
    ]


drift_setting = Table(
    "drift_setting",
    metadata,
    _project(primary_key=True),
    Column("alpha", Double, nullable=False, server_default=text("0.01")),
    Column("reference", Integer, nullable=False, server_default=text("200")),
    Column("least_effect", Double, nullable=False, server_default=text("0.02")),
    Column("run_length", Integer, nullable=False, server_default=text("10000")),
    Column("left_out", BigInteger, nullable=False, server_default=_NONE),
)

stream = Table(
    "stream",
    metadata,
    _id(),
    _project(),
    _of("rubric_id", "rubric.id"),
    _of("judge_id", "judge.id", nullable=True),
    _of("strong_judge_id", "judge.id", nullable=True),
    Column("feature", Text),
    Column("tier", Text),
    Column("model", Text),
    Column("strata", JSONB, nullable=False, server_default=text("'[]'")),
    Column("least", Double, nullable=False, server_default=text("1")),
    Column("created_at", INSTANT, nullable=False, server_default=NOW),
    UniqueConstraint(
        "project_id", "rubric_id", "judge_id", "strong_judge_id", "feature", "tier", "model",
        name="stream_project_id_rubric_id_judge_id_strong_judge_id_featur_key",
        postgresql_nulls_not_distinct=True,
    ),
)  # fmt: skip

watch = Table(
    "watch",
    metadata,
    _id(),
    _project(),
    _of("stream_id", "stream.id", gone=True),
    Column("dimension", Text, nullable=False),
    Column("state", JSONB, nullable=False),
    Column("evidence", Double),
    Column("since", INSTANT, nullable=False, server_default=text("'-infinity'")),
    Column("updated_at", INSTANT, nullable=False, server_default=NOW),
    UniqueConstraint("stream_id", "dimension"),
    Index(None, "project_id"),
)

# What the watches add to a judgement: when they saw it, and in which stream it counted.
judging = judge_tables.judging
judging.append_column(Column("watched_at", INSTANT))
judging.append_column(Column("stream_id", BigInteger, ForeignKey("stream.id", ondelete="SET NULL")))
Index(
    "judging_unwatched_idx",
    judging.c.project_id,
    judging.c.started_at,
    judging.c.id,
    postgresql_where=text(
        "state = 'scored' AND watched_at IS NULL AND purpose IN ('sample', 'escalated', 'anchor')"
    ),
)
Index(
    "judging_stream_idx",
    judging.c.stream_id,
    judging.c.started_at,
    postgresql_where=text("stream_id IS NOT NULL"),
)

anchor_set = Table(
    "anchor_set",
    metadata,
    _id(),
    _project(),
    _of("rubric_id", "rubric.id"),
    Column("name", Text, nullable=False),
    Column("every", Text, nullable=False, server_default=text("'day'")),
    Column("size", Integer, nullable=False),
    *_made(),
    Column("retired_at", INSTANT),
    Index(
        "anchor_set_live_idx",
        "project_id",
        "rubric_id",
        unique=True,
        postgresql_where=text("retired_at IS NULL"),
    ),
)

anchor_item = Table(
    "anchor_item",
    metadata,
    Column("project_id", Integer, nullable=False),
    _of("set_id", "anchor_set.id", key=True, gone=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("trace_id", Text, nullable=False),
    Column("span_id", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("started_at", INSTANT, nullable=False),
    Column("material", JSONB, nullable=False),
    Column("labels", JSONB, nullable=False),
)

anchor_reference = Table(
    "anchor_reference",
    metadata,
    Column("project_id", Integer, nullable=False),
    _of("set_id", "anchor_set.id", key=True, gone=True),
    _of("judge_id", "judge.id", key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("scores", JSONB, nullable=False),
    Column("scored_at", INSTANT, nullable=False),
)

anchor_watch = Table(
    "anchor_watch",
    metadata,
    _id(),
    _project(),
    _of("set_id", "anchor_set.id", gone=True),
    _of("judge_id", "judge.id"),
    Column("dimension", Text, nullable=False),
    Column("alpha", Double, nullable=False),
    Column("state", JSONB, nullable=False),
    Column("updated_at", INSTANT, nullable=False, server_default=NOW),
    UniqueConstraint("set_id", "judge_id", "dimension"),
)

alert = Table(
    "alert",
    metadata,
    _id(),
    _project(),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("opened_at", INSTANT, nullable=False),
    Column("later", JSONB),
    Column("state", Text, nullable=False, server_default=text("'open'")),
    Column("acknowledged_at", INSTANT),
    Column("acknowledged_by", Text),
    Column("resolved_at", INSTANT),
    Column("resolved_by", Text),
    Index("alert_open_idx", "project_id", "key", unique=True, postgresql_where=text("state <> 'resolved'")),
    Index(None, "project_id", "id"),
)

channel = Table(
    "channel",
    metadata,
    _id(),
    _project(),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    *_made(),
    Column("removed_at", INSTANT),
    Index("channel_live_idx", "project_id", "name", unique=True, postgresql_where=text("removed_at IS NULL")),
)

delivery = Table(
    "delivery",
    metadata,
    _id(),
    _project(),
    _of("alert_id", "alert.id", gone=True),
    _of("channel_id", "channel.id"),
    Column("event", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    Column("attempts", SmallInteger, nullable=False, server_default=_NONE),
    Column("not_before", INSTANT, nullable=False),
    Column("leased_until", INSTANT),
    Column("last_error", Text),
    Column("created_at", INSTANT, nullable=False),
    Column("sent_at", INSTANT),
    UniqueConstraint("alert_id", "channel_id", "event"),
    Index(
        "delivery_owed_idx",
        "project_id",
        "not_before",
        postgresql_where=text("state IN ('waiting', 'sending')"),
    ),
)
