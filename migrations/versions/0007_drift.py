"""Drift: streams of scores and their watches, anchors, alerts and where they are sent."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = """
-- What a project asks of its watches.
CREATE TABLE drift_setting (
    project_id integer PRIMARY KEY REFERENCES project (id) ON DELETE CASCADE,
    alpha double precision NOT NULL DEFAULT 0.01 CHECK (alpha > 0 AND alpha <= 0.2),
    reference integer NOT NULL DEFAULT 200 CHECK (reference >= 30 AND reference <= 5000),
    least_effect double precision NOT NULL DEFAULT 0.02 CHECK (least_effect >= 0 AND least_effect < 1),
    run_length integer NOT NULL DEFAULT 10000 CHECK (run_length >= 100),
    -- Judgements of streams beyond the most that a project may have.
    left_out bigint NOT NULL DEFAULT 0
);

-- Where scores come from that are watched together: one rubric, the same judges, one feature, tier and model.
CREATE TABLE stream (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    rubric_id bigint NOT NULL REFERENCES rubric (id),
    judge_id bigint REFERENCES judge (id),
    strong_judge_id bigint REFERENCES judge (id),
    feature text,
    tier text,
    model text,
    -- The strata that its requests were drawn from, and the least chance of those without any: what thinning needs.
    strata jsonb NOT NULL DEFAULT '[]',
    least double precision NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (project_id, rubric_id, judge_id, strong_judge_id, feature, tier, model)
);

-- One dimension of a stream. `state` is the reference and the wealth of its bets: all that must be kept to go on.
CREATE TABLE watch (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    stream_id bigint NOT NULL REFERENCES stream (id) ON DELETE CASCADE,
    dimension text NOT NULL,
    state jsonb NOT NULL,
    -- The e-value now, NULL while it learns: what all of a project's watches are ranked by.
    evidence double precision,
    -- Scores that were fed before are of an earlier reference.
    since timestamptz NOT NULL DEFAULT '-infinity',
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (stream_id, dimension)
);
CREATE INDEX watch_project_id_idx ON watch (project_id);

-- When the watches saw a judgement, and in which stream it counted; NULL there: thinned out, or replaced.
ALTER TABLE judging ADD COLUMN watched_at timestamptz;
ALTER TABLE judging ADD COLUMN stream_id bigint REFERENCES stream (id) ON DELETE SET NULL;
CREATE INDEX judging_unwatched_idx ON judging (project_id, started_at, id)
    WHERE state = 'scored' AND watched_at IS NULL AND purpose IN ('sample', 'escalated', 'anchor');
CREATE INDEX judging_stream_idx ON judging (stream_id, started_at) WHERE stream_id IS NOT NULL;

-- Labelled answers that are judged again and again: what changes in their scores is the judge.
CREATE TABLE anchor_set (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    rubric_id bigint NOT NULL REFERENCES rubric (id),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    every text NOT NULL DEFAULT 'day' CHECK (every IN ('hour', 'day')),
    size integer NOT NULL CHECK (size > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT '',
    retired_at timestamptz
);
CREATE UNIQUE INDEX anchor_set_live_idx ON anchor_set (project_id, rubric_id) WHERE retired_at IS NULL;
CREATE TABLE anchor_item (
    project_id integer NOT NULL,
    set_id bigint NOT NULL REFERENCES anchor_set (id) ON DELETE CASCADE,
    place integer NOT NULL,
    trace_id text NOT NULL,
    span_id text NOT NULL,
    day date NOT NULL,
    started_at timestamptz NOT NULL,
    material jsonb NOT NULL,
    labels jsonb NOT NULL,
    PRIMARY KEY (set_id, place)
);
-- The first scores that a judge gave an anchor: what later ones are compared with.
CREATE TABLE anchor_reference (
    project_id integer NOT NULL,
    set_id bigint NOT NULL REFERENCES anchor_set (id) ON DELETE CASCADE,
    judge_id bigint NOT NULL REFERENCES judge (id),
    place integer NOT NULL,
    scores jsonb NOT NULL,
    scored_at timestamptz NOT NULL,
    PRIMARY KEY (set_id, judge_id, place)
);
CREATE TABLE anchor_watch (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    set_id bigint NOT NULL REFERENCES anchor_set (id) ON DELETE CASCADE,
    judge_id bigint NOT NULL REFERENCES judge (id),
    dimension text NOT NULL,
    alpha double precision NOT NULL,
    state jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (set_id, judge_id, dimension)
);

CREATE TABLE alert (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('drift')),
    key text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('page', 'notice')),
    title text NOT NULL,
    verdict text NOT NULL,
    body jsonb NOT NULL,
    opened_at timestamptz NOT NULL,
    -- Who moved, where that became clear only after anchors were judged again.
    later jsonb,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'acknowledged', 'resolved')),
    acknowledged_at timestamptz,
    acknowledged_by text,
    resolved_at timestamptz,
    resolved_by text
);
CREATE UNIQUE INDEX alert_open_idx ON alert (project_id, key) WHERE state <> 'resolved';
CREATE INDEX alert_project_id_id_idx ON alert (project_id, id);

-- Where alerts are sent. A webhook's secret is in the environment of the worker; `body` names the variable.
CREATE TABLE channel (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    kind text NOT NULL CHECK (kind IN ('webhook', 'email')),
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT '',
    removed_at timestamptz
);
CREATE UNIQUE INDEX channel_live_idx ON channel (project_id, name) WHERE removed_at IS NULL;

-- One message that is owed: task, lease and result in one.
CREATE TABLE delivery (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    alert_id bigint NOT NULL REFERENCES alert (id) ON DELETE CASCADE,
    channel_id bigint NOT NULL REFERENCES channel (id),
    event text NOT NULL CHECK (event IN ('opened', 'resolved')),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sending', 'sent', 'failed')),
    attempts smallint NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL,
    leased_until timestamptz,
    last_error text,
    created_at timestamptz NOT NULL,
    sent_at timestamptz,
    UNIQUE (alert_id, channel_id, event)
);
CREATE INDEX delivery_owed_idx ON delivery (project_id, not_before) WHERE state IN ('waiting', 'sending');

GRANT SELECT, INSERT, UPDATE ON drift_setting, stream, watch, anchor_watch, delivery TO tripoint_app;
GRANT SELECT, INSERT ON anchor_set, anchor_item, anchor_reference, alert, channel TO tripoint_app;
GRANT UPDATE (retired_at) ON anchor_set TO tripoint_app;
GRANT DELETE ON anchor_reference TO tripoint_app;
-- What an alert says is written once: it can be printed years later as it was read on the night.
GRANT UPDATE (later, state, acknowledged_at, acknowledged_by, resolved_at, resolved_by) ON alert TO tripoint_app;
GRANT UPDATE (removed_at) ON channel TO tripoint_app;
"""

TENANT = "project_id = nullif(current_setting('app.project', true), '')::integer"
NAMES = (
    "drift_setting", "stream", "watch", "anchor_set", "anchor_item", "anchor_reference", "anchor_watch", "alert",
    "channel", "delivery",
)  # fmt: skip


def upgrade() -> None:
    op.execute(TABLES)
    for name in NAMES:
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {name} TO tripoint_app USING ({TENANT}) WITH CHECK ({TENANT})")


def downgrade() -> None:
    op.execute("ALTER TABLE judging DROP COLUMN watched_at, DROP COLUMN stream_id")
    for name in reversed(NAMES):
        op.execute(f"DROP TABLE {name}")
