"""Judging: rubrics, judges, policies and their rounds, what is owed, what it may cost."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE rubric (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    version text NOT NULL,
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT '',
    UNIQUE (project_id, name, version)
);

-- A model that is asked. `key_variable` names the environment variable that holds its key; the key is nowhere here.
CREATE TABLE judge (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT '',
    retired_at timestamptz,
    -- The circuit breaker: failures in a row, and until when nobody asks.
    failures integer NOT NULL DEFAULT 0,
    open_until timestamptz,
    last_error text,
    UNIQUE (project_id, name)
);

-- Which requests are judged by what; a version never changes, another one takes its place.
CREATE TABLE judge_policy (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    rubric_id bigint NOT NULL REFERENCES rubric (id),
    rubric_name text NOT NULL,
    judge_id bigint REFERENCES judge (id),
    strong_judge_id bigint REFERENCES judge (id),
    body jsonb NOT NULL,
    salt text NOT NULL,
    starts_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT '',
    ended_at timestamptz
);
CREATE INDEX judge_policy_project_id_idx ON judge_policy (project_id);
CREATE UNIQUE INDEX judge_policy_live_idx ON judge_policy (project_id, rubric_name) WHERE ended_at IS NULL;

-- The probabilities of one UTC day of requests: set when its first request is drawn, and never changed.
CREATE TABLE judge_round (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    policy_id bigint NOT NULL REFERENCES judge_policy (id) ON DELETE CASCADE,
    day date NOT NULL,
    wanted double precision NOT NULL,
    base double precision NOT NULL CHECK (base > 0 AND base <= 1),
    note text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (policy_id, day)
);
CREATE TABLE judge_stratum (
    project_id integer NOT NULL,
    round_id bigint NOT NULL REFERENCES judge_round (id) ON DELETE CASCADE,
    key text NOT NULL,
    size double precision NOT NULL,
    spread double precision,
    pilot integer NOT NULL,
    chance double precision NOT NULL CHECK (chance > 0 AND chance <= 1),
    PRIMARY KEY (round_id, key)
);

-- Settled traces that no policy has looked at yet.
CREATE TABLE unsampled (
    project_id integer NOT NULL,
    trace_id text NOT NULL,
    first_day date NOT NULL,
    last_day date NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, trace_id)
);
CREATE INDEX unsampled_project_id_queued_at_idx ON unsampled (project_id, queued_at);

-- One judgement that is owed, under way, or there: task, lease and result in one.
CREATE TABLE judging (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    rubric_id bigint NOT NULL REFERENCES rubric (id),
    judge_id bigint REFERENCES judge (id),
    policy_id bigint REFERENCES judge_policy (id),
    round_id bigint REFERENCES judge_round (id),
    purpose text NOT NULL CHECK (purpose IN ('sample', 'escalated', 'audit', 'anchor', 'trial', 'pair')),
    occasion text NOT NULL DEFAULT '',
    repeat smallint NOT NULL DEFAULT 0 CHECK (repeat >= 0 AND repeat <= 2),
    day date NOT NULL,
    trace_id text NOT NULL,
    span_id text NOT NULL,
    started_at timestamptz NOT NULL,
    stratum text,
    chance double precision NOT NULL CHECK (chance > 0 AND chance <= 1),
    turn double precision NOT NULL,
    -- What is judged where that is no stored request: an anchor's frozen text, the other answer of a pair.
    material jsonb,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'asked', 'scored', 'failed')),
    not_before timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz,
    attempts smallint NOT NULL DEFAULT 0,
    unreadable smallint NOT NULL DEFAULT 0,
    reserved_pico bigint NOT NULL DEFAULT 0,
    reserved_on date,
    cost_pico bigint NOT NULL DEFAULT 0,
    input_tokens bigint,
    output_tokens bigint,
    scores jsonb,
    said jsonb,
    confidence double precision,
    reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    UNIQUE NULLS NOT DISTINCT (project_id, trace_id, span_id, day, rubric_id, judge_id, repeat, occasion)
);
CREATE INDEX judging_owed_idx ON judging (project_id, turn) WHERE state IN ('waiting', 'asked');
CREATE INDEX judging_rubric_idx ON judging (project_id, rubric_id, started_at);
CREATE INDEX judging_judge_idx ON judging (project_id, judge_id, done_at);
CREATE INDEX judging_round_idx ON judging (round_id);
CREATE INDEX judging_occasion_idx ON judging (project_id, occasion) WHERE occasion <> '';

-- What judging may cost a UTC day, and what it has cost. `reserved` is the dearest that calls under way may cost.
CREATE TABLE judge_budget (
    project_id integer PRIMARY KEY REFERENCES project (id) ON DELETE CASCADE,
    day_pico bigint NOT NULL CHECK (day_pico >= 0),
    set_at timestamptz NOT NULL DEFAULT now(),
    set_by text NOT NULL DEFAULT ''
);
CREATE TABLE judge_spend (
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    day date NOT NULL,
    reserved_pico bigint NOT NULL DEFAULT 0,
    spent_pico bigint NOT NULL DEFAULT 0,
    calls integer NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, day)
);

ALTER TABLE score DROP CONSTRAINT score_source_check;
ALTER TABLE score ADD CONSTRAINT score_source_check
    CHECK (source IN ('api', 'feedback', 'evaluation', 'judge', 'scorer', 'label'));
GRANT SELECT, INSERT ON rubric, judge_round, judge_stratum TO tripoint_app;
GRANT SELECT, INSERT, UPDATE ON judge, judge_policy, judging, judge_budget, judge_spend TO tripoint_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON unsampled TO tripoint_app;
-- The project's own calls to its judges, told apart from what its applications asked.
CREATE INDEX request_judging_idx ON request (project_id, started_at) WHERE source = 'tripoint.judge';
"""

TENANT = "project_id = nullif(current_setting('app.project', true), '')::integer"
NAMES = (
    "rubric", "judge", "judge_policy", "judge_round", "judge_stratum", "unsampled", "judging", "judge_budget",
    "judge_spend",
)  # fmt: skip


def upgrade() -> None:
    op.execute(TABLES)
    for name in NAMES:
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {name} TO tripoint_app USING ({TENANT}) WITH CHECK ({TENANT})")


def downgrade() -> None:
    op.execute("DROP INDEX request_judging_idx")
    op.execute("DELETE FROM score WHERE source IN ('judge', 'scorer', 'label')")
    op.execute("ALTER TABLE score DROP CONSTRAINT score_source_check")
    op.execute(
        "ALTER TABLE score ADD CONSTRAINT score_source_check"
        " CHECK (source IN ('api', 'feedback', 'evaluation'))"
    )
    for name in reversed(NAMES):
        op.execute(f"DROP TABLE {name}")
