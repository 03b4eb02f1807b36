"""People: what they are asked to label, who is at it, and with which probability each answer was drawn for them."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
-- The probability with which a judged request was to be labelled, given that it was judged; set when it was first
-- considered, and only ever raised. NULL: nobody drew among its like yet.
ALTER TABLE judging ADD COLUMN label_chance double precision CHECK (label_chance > 0 AND label_chance <= 1);

-- How many answers a day people want to label. `salt` decides which.
CREATE TABLE review_plan (
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    rubric_name text NOT NULL CHECK (rubric_name <> '' AND length(rubric_name) <= 100),
    a_day integer NOT NULL CHECK (a_day >= 0),
    second_share double precision NOT NULL CHECK (second_share >= 0 AND second_share <= 1),
    salt text NOT NULL,
    filled_on date,
    set_at timestamptz NOT NULL DEFAULT now(),
    set_by text NOT NULL DEFAULT '',
    PRIMARY KEY (project_id, rubric_name)
);

-- An answer that people are to label: drawn by its probability, or asked for by somebody, which enters no estimate.
CREATE TABLE review (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    rubric_id bigint NOT NULL REFERENCES rubric (id),
    rubric_name text NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('drawn', 'asked')),
    day date NOT NULL,
    trace_id text NOT NULL,
    span_id text NOT NULL,
    started_at timestamptz NOT NULL,
    raters smallint NOT NULL DEFAULT 1 CHECK (raters >= 1 AND raters <= 2),
    place double precision NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done')),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT '',
    UNIQUE (project_id, trace_id, span_id, day, rubric_name)
);
CREATE INDEX review_open_idx ON review (project_id, place) WHERE state = 'open';
CREATE INDEX review_rubric_idx ON review (project_id, rubric_name, started_at);

-- One person's turn at an item: under way until `leased_until`, then labelled or skipped.
CREATE TABLE review_turn (
    project_id integer NOT NULL,
    review_id bigint NOT NULL REFERENCES review (id) ON DELETE CASCADE,
    rater text NOT NULL CHECK (rater <> '' AND length(rater) <= 512),
    outcome text NOT NULL DEFAULT 'leased' CHECK (outcome IN ('leased', 'labelled', 'skipped')),
    leased_until timestamptz NOT NULL,
    reason text CHECK (length(reason) <= 500),
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (review_id, rater)
);
CREATE INDEX review_turn_rater_idx ON review_turn (project_id, rater, outcome);

GRANT SELECT, INSERT, UPDATE ON review_plan, review, review_turn TO tripoint_app;
-- Labels are looked up by their name, over all of a project's.
CREATE INDEX score_label_idx ON score (project_id, name, trace_id) WHERE source = 'label';
"""

TENANT = "project_id = nullif(current_setting('app.project', true), '')::integer"
NAMES = ("review_plan", "review", "review_turn")


def upgrade() -> None:
    op.execute(TABLES)
    for name in NAMES:
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {name} TO tripoint_app USING ({TENANT}) WITH CHECK ({TENANT})")


def downgrade() -> None:
    op.execute("DROP INDEX score_label_idx")
    for name in reversed(NAMES):
        op.execute(f"DROP TABLE {name}")
    op.execute("ALTER TABLE judging DROP COLUMN label_chance")
