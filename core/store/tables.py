"""The ledger's tables. `migrations/` builds them; a test holds the two together.

`request`, `context_span` and `content` are partitioned by `day` (UTC day of the start), and so is `score`
(UTC day on which it was given), because a unique key on a partitioned table must contain the partition key.
Each row keeps the transaction that last wrote it (`xid`): a reader's mark is the oldest transaction still in
flight, never a sequence.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    }
)

INSTANT = DateTime(timezone=True)
NOW = text("now()")
XID = text("pg_current_xact_id()")

project = Table(
    "project",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", INSTANT, nullable=False, server_default=NOW),
)

# A person who signs in with a password. Colleagues of a project see the row; `folded` is the name without case.
account = Table(
    "account",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False, unique=True),
    Column("created_at", INSTANT, nullable=False, server_default=NOW),
    Column("disabled_at", INSTANT),
    Column("password_set_at", INSTANT),
)

# Open only to whoever presents the account's name. `given`: by somebody else, and not yet changed by its owner.
account_password = Table(
    "account_password",
    metadata,
    Column(
        "account_id",
        BigInteger,
        ForeignKey("account.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("hash", Text, nullable=False),
    Column("given", Boolean, nullable=False),
)

membership = Table(
    "membership",
    metadata,
    Column("project_id", Integer, ForeignKey("project.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", BigInteger, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("role", Text, nullable=False),
    Column("created_at", INSTANT, nullable=False, server_default=NOW),
    Index(None, "account_id"),
)

# What was changed by whom. The application may add to it and change nothing in it.
audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("project_id", Integer, ForeignKey("project.id", ondelete="CASCADE"), nullable=False),
    Column("at", INSTANT, nullable=False, server_default=NOW),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("details", JSONB, nullable=False),
    Index("audit_project_id_id_idx", "project_id", "id"),
)

# Failed attempts to sign in, by hashes of the account's name and of the client's address.
sign_in_attempt = Table(
    "sign_in_attempt",
    metadata,
    Column("bucket", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", INSTANT, nullable=False),
    Column("blocked_until", INSTANT),
    Index(None, "last_at"),
)

# One table for whatever opens a door: keys of programs, browser sessions, and tokens used once, to sign in or
# to set a password.
api_key = Table(
    "api_key",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("project_id", Integer, ForeignKey("project.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("created_at", INSTANT, nullable=False, server_default=NOW),
    Column("expires_at", INSTANT),
    Column("revoked_at", INSTANT),
    Column("last_used_at", INSTANT),
    Column("account_id", BigInteger, ForeignKey("account.id", ondelete="CASCADE")),
    Index(None, "project_id"),
    Index(None, "account_id"),
)

# The only place that holds a user's name: rows carry the key, so erasing a person is one delete here.
user_name = Table(
    "user_name",
    metadata,
    Column("key", BigInteger, Identity(), primary_key=True),
    Column("project_id", Integer, ForeignKey("project.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("project_id", "name"),
)

price_version = Table(
    "price_version",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("project_id", Integer, ForeignKey("project.id", ondelete="CASCADE")),
    Column("digest", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("layer", Text, nullable=False),
    Column("valid_from", INSTANT),
    Column("valid_to", INSTANT),
    Column("source", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("recorded_at", INSTANT, nullable=False),
    UniqueConstraint("digest", "recorded_at"),
    Index(None, "provider", "model"),
)

# How model names lead to prices: one immutable row for each import that brought something new.
price_matching = Table(
    "price_matching",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("digest", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("recorded_at", INSTANT, nullable=False, server_default=NOW),
)


def _context_columns() -> list[Column[object]]:
    """Whose span it was and how it was routed."""
    return [
        Column("feature", Text),
        Column("user_key", BigInteger),
        Column("session", Text),
        Column("tenant", Text),
        Column("plan", Text),
        Column("tier", Text),
        Column("router", Text),
        Column("router_version", Text),
        Column("route_score", Double),
        Column("route_reason", Text),
        Column("cascade_id", Text),
        Column("cascade_step", Integer),
        Column("escalated_from", Text),
        Column("fallback_from", Text),
        Column("tags", JSONB),
    ]


# In the order of reading; on disk `migrations/` puts first what most questions read.
request = Table(
    "request",
    metadata,
    Column("project_id", Integer, nullable=False),
    Column("day", Date, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("span_id", Text, nullable=False),
    Column("parent_span_id", Text),
    Column("started_at", INSTANT, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("ttft_us", BigInteger),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("source_version", Text, nullable=False),
    Column("native", Boolean, nullable=False),
    Column("aggregate", Boolean, nullable=False),
    Column("response_id", Text),
    Column("service", Text),
    Column("environment", Text),
    Column("release", Text),
    *_context_columns(),
    Column("provider", Text),
    Column("request_model", Text),
    Column("response_model", Text),
    Column("operation", Text),
    Column("service_tier", Text),
    Column("batch", Boolean, nullable=False),
    Column("region", Text),
    Column("server_address", Text),
    Column("cache", Text),
    Column("cache_similarity", Double),
    Column("uncached_input", BigInteger),
    Column("cache_read", BigInteger),
    Column("cache_write_5m", BigInteger),
    Column("cache_write_1h", BigInteger),
    Column("visible_output", BigInteger),
    Column("reasoning", BigInteger),
    Column("usage_reading", Text),
    Column("usage_raw", JSONB),
    Column("streaming", Boolean),
    Column("attempt", Integer),
    Column("retries", Integer),
    Column("status", Text, nullable=False),
    Column("error_type", Text),
    Column("http_status", SmallInteger),
    Column("finish_reason", Text),
    Column("price_version_id", BigInteger),
    Column("pricing_status", Text, nullable=False),
    Column("pricing_reason", Text),
    Column("cost_pico", BigInteger),
    Column("list_pico", BigInteger),
    Column("cost_reported_pico", BigInteger),
    # What the settle changed: the fields as they were sent, so that settling again starts from the wire.
    Column("as_sent", JSONB),
    Column("state", Text, nullable=False, server_default=text("'provisional'")),
    Column("counted", Boolean, nullable=False),
    Column("duplicate_of", Text),
    Column("received_at", INSTANT, nullable=False, server_default=NOW),
    Column("xid", Xid8, nullable=False, server_default=XID),
    UniqueConstraint("trace_id", "span_id", "project_id", "day"),
    Index(None, "project_id", "started_at"),
    Index(
        "request_project_id_response_id_started_at_idx",
        "project_id",
        "response_id",
        "started_at",
        postgresql_where=text("response_id IS NOT NULL"),
    ),
    Index(
        "request_user_idx",
        "project_id",
        "user_key",
        "started_at",
        postgresql_where=text("user_key IS NOT NULL"),
    ),
    Index(
        "request_failed_idx",
        "project_id",
        "started_at",
        postgresql_where=text("status = 'error' AND response_id IS NULL"),
    ),
    Index(
        "request_judging_idx",
        "project_id",
        "started_at",
        postgresql_where=text("source = 'tripoint.judge'"),
    ),
    postgresql_partition_by="RANGE (day)",
)

context_span = Table(
    "context_span",
    metadata,
    Column("project_id", Integer, nullable=False),
    Column("day", Date, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("span_id", Text, nullable=False),
    Column("parent_span_id", Text),
    Column("started_at", INSTANT, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("service", Text),
    Column("status", Text, nullable=False),
    Column("error_type", Text),
    Column("feature_hint", Text),
    *_context_columns(),
    Column("received_at", INSTANT, nullable=False, server_default=NOW),
    Column("xid", Xid8, nullable=False, server_default=XID),
    UniqueConstraint("trace_id", "span_id", "project_id", "day"),
    postgresql_partition_by="RANGE (day)",
)

# What was asked and answered, zstd-compressed JSON; apart from the numbers, with its own retention.
content = Table(
    "content",
    metadata,
    Column("project_id", Integer, nullable=False),
    Column("day", Date, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("span_id", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("trace_id", "span_id", "project_id", "day"),
    postgresql_partition_by="RANGE (day)",
)

# What somebody thought of an answer. It may come before its request, and names it by its ids alone.
score = Table(
    "score",
    metadata,
    Column("project_id", Integer, nullable=False),
    Column("day", Date, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("span_id", Text),
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Double, nullable=False),
    Column("label", Text),
    Column("source", Text, nullable=False),
    Column("author_key", BigInteger),
    Column("comment", Text),
    Column("recorded_at", INSTANT, nullable=False),
    Column("received_at", INSTANT, nullable=False, server_default=NOW),
    Column("xid", Xid8, nullable=False, server_default=XID),
    UniqueConstraint("trace_id", "id", "project_id", "day"),
    Index(None, "project_id", "recorded_at"),
    Index("score_label_idx", "project_id", "name", "trace_id", postgresql_where=text("source = 'label'")),
    postgresql_partition_by="RANGE (day)",
)

# A trace that received spans and waits to be settled. `generation` counts the bodies that brought some, so
# that a settle removes the mark only if none came meanwhile.
unsettled = Table(
    "unsettled",
    metadata,
    Column("project_id", Integer, primary_key=True),
    Column("trace_id", Text, primary_key=True),
    Column("generation", BigInteger, nullable=False, server_default=text("1")),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("first_at", INSTANT, nullable=False, server_default=NOW),
    Column("last_at", INSTANT, nullable=False, server_default=NOW),
    Index(None, "project_id", "first_at"),
)
