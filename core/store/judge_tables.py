"""The tables of judging: what is asked of whom, what is owed, what it costs. `migrations/` builds them."""

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


def _made() -> list[Column[object]]:
    return [
        Column("created_at", INSTANT, nullable=False, server_default=NOW),
        Column("created_by", Text, nullable=False, server_default=_EMPTY),
    ]


rubric = Table(
    "rubric",
    metadata,
    _id(),
    _project(),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    *_made(),
    UniqueConstraint("project_id", "name", "version"),
)

judge = Table(
    "judge",
    metadata,
    _id(),
    _project(),
    Column("name", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    *_made(),
    Column("retired_at", INSTANT),
    Column("failures", Integer, nullable=False, server_default=_NONE),
    Column("open_until", INSTANT),
    Column("last_error", Text),
    UniqueConstraint("project_id", "name"),
)

policy = Table(
    "judge_policy",
    metadata,
    _id(),
    _project(),
    Column("rubric_id", BigInteger, ForeignKey("rubric.id"), nullable=False),
    Column("rubric_name", Text, nullable=False),
    Column("judge_id", BigInteger, ForeignKey("judge.id")),
    Column("strong_judge_id", BigInteger, ForeignKey("judge.id")),
    Column("body", JSONB, nullable=False),
    Column("salt", Text, nullable=False),
    Column("starts_at", INSTANT, nullable=False),
    *_made(),
    Column("ended_at", INSTANT),
    Index(None, "project_id"),
    Index(
        "judge_policy_live_idx",
        "project_id",
        "rubric_name",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
    ),
)

judge_round = Table(
    "judge_round",
    metadata,
    _id(),
    _project(),
    Column("policy_id", BigInteger, ForeignKey("judge_policy.id", ondelete="CASCADE"), nullable=False),
    Column("day", Date, nullable=False),
    Column("wanted", Double, nullable=False),
    Column("base", Double, nullable=False),
    Column("note", Text, nullable=False, server_default=_EMPTY),
    Column("created_at", INSTANT, nullable=False, server_default=NOW),
    UniqueConstraint("policy_id", "day"),
)

judge_stratum = Table(
    "judge_stratum",
    metadata,
    Column("project_id", Integer, nullable=False),
    Column("round_id", BigInteger, ForeignKey("judge_round.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("size", Double, nullable=False),
    Column("spread", Double),
    Column("pilot", Integer, nullable=False),
    Column("chance", Double, nullable=False),
)

unsampled = Table(
    "unsampled",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("trace_id", Text, primary_key=True),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("queued_at", INSTANT, nullable=False, server_default=NOW),
    Index(None, "project_id", "queued_at"),
)

comparison = Table(
    "comparison",
    metadata,
    _id(),
    _project(),
    Column("rubric_id", BigInteger, ForeignKey("rubric.id"), nullable=False),
    Column("judge_id", BigInteger, ForeignKey("judge.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("first_label", Text, nullable=False),
    Column("second_label", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("pairs", JSONB, nullable=False),
    *_made(),
    Index(None, "project_id", "id"),
)

judging = Table(
    "judging",
    metadata,
    _id(),
    _project(),
    Column("rubric_id", BigInteger, ForeignKey("rubric.id"), nullable=False),
    Column("judge_id", BigInteger, ForeignKey("judge.id")),
    Column("policy_id", BigInteger, ForeignKey("judge_policy.id")),
    Column("round_id", BigInteger, ForeignKey("judge_round.id")),
    Column("purpose", Text, nullable=False),
    Column("occasion", Text, nullable=False, server_default=_EMPTY),
    Column("repeat", SmallInteger, nullable=False, server_default=_NONE),
    Column("day", Date, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("span_id", Text, nullable=False),
    Column("started_at", INSTANT, nullable=False),
    Column("stratum", Text),
    Column("chance", Double, nullable=False),
    Column("turn", Double, nullable=False),
    Column("material", JSONB),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    Column("not_before", INSTANT, nullable=False, server_default=NOW),
    Column("leased_until", INSTANT),
    Column("attempts", SmallInteger, nullable=False, server_default=_NONE),
    Column("unreadable", SmallInteger, nullable=False, server_default=_NONE),
    Column("reserved_pico", BigInteger, nullable=False, server_default=_NONE),
    Column("reserved_on", Date),
    Column("cost_pico", BigInteger, nullable=False, server_default=_NONE),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("scores", JSONB),
    Column("said", JSONB),
    Column("confidence", Double),
    Column("reason", Text),
    Column("created_at", INSTANT, nullable=False, server_default=NOW),
    Column("done_at", INSTANT),
    Column("label_chance", Double),
    Column("comparison_id", BigInteger, ForeignKey("comparison.id", ondelete="CASCADE")),
    UniqueConstraint(
        "project_id", "trace_id", "span_id", "day", "rubric_id", "judge_id", "repeat", "occasion",
        name="judging_project_id_trace_id_span_id_day_rubric_id_judge_id__key",
        postgresql_nulls_not_distinct=True,
    ),
    Index(
        "judging_owed_idx",
        "project_id",
        "turn",
        postgresql_where=text("state IN ('waiting', 'asked')"),
    ),
    Index("judging_rubric_idx", "project_id", "rubric_id", "started_at"),
    Index("judging_judge_idx", "project_id", "judge_id", "done_at"),
    Index("judging_round_idx", "round_id"),
    Index("judging_occasion_idx", "project_id", "occasion", postgresql_where=text("occasion <> ''")),
    Index(
        "judging_comparison_idx",
        "comparison_id",
        postgresql_where=text("comparison_id IS NOT NULL"),
    ),
)  # fmt: skip

judge_budget = Table(
    "judge_budget",
    metadata,
    _project(primary_key=True),
    Column("day_pico", BigInteger, nullable=False),
    Column("set_at", INSTANT, nullable=False, server_default=NOW),
    Column("set_by", Text, nullable=False, server_default=_EMPTY),
)

judge_spend = Table(
    "judge_spend",
    metadata,
    _project(primary_key=True),
    Column("day", Date, primary_key=True),
    Column("reserved_pico", BigInteger, nullable=False, server_default=_NONE),
    Column("spent_pico", BigInteger, nullable=False, server_default=_NONE),
    Column("calls", Integer, nullable=False, server_default=_NONE),
)
