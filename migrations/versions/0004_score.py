"""Scores: what users, evaluators and programs thought of an answer."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# By the day on which it was given: its request may not be here yet. Who gave it stands in `user_name`, so that
# erasing a person is a delete there.
TABLE = """
CREATE TABLE score (
    project_id integer NOT NULL,
    day date NOT NULL,
    recorded_at timestamptz NOT NULL,
    value double precision NOT NULL CHECK (value >= 0 AND value <= 1),
    author_key bigint,
    trace_id text NOT NULL,
    span_id text,
    id text NOT NULL CHECK (id <> ''),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    source text NOT NULL CHECK (source IN ('api', 'feedback', 'evaluation')),
    label text CHECK (length(label) <= 200),
    comment text CHECK (length(comment) <= 2000),
    received_at timestamptz NOT NULL DEFAULT now(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (trace_id, id, project_id, day)
) PARTITION BY RANGE (day);
CREATE INDEX score_project_id_recorded_at_idx ON score (project_id, recorded_at);
GRANT SELECT, INSERT, DELETE ON score TO tripoint_app;
"""

TENANT = "project_id = nullif(current_setting('app.project', true), '')::integer"


def _ensure_day(tables: str) -> str:
    """The function of 0001 for these tables."""
    return f"""
CREATE OR REPLACE FUNCTION tripoint_ensure_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    parent text;
    part text;
BEGIN
    IF day < current_date - 4000 OR day > current_date + 60 THEN
        RAISE EXCEPTION 'day % is too far from today', day;
    END IF;
    FOREACH parent IN ARRAY ARRAY[{tables}] LOOP
        part := parent || '_p' || to_char(day, 'YYYYMMDD');
        IF to_regclass('public.' || part) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtext('tripoint_ensure_day'));
            -- Asked of the catalogue itself: to_regclass() remembers the answer that it gave before the wait.
            IF NOT EXISTS (SELECT FROM pg_class
                           WHERE relname = part AND relnamespace = 'public'::regnamespace) THEN
                -- Made apart and attached: CREATE .. PARTITION OF would stop every reader and writer.
                EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS'
                               ' INCLUDING CONSTRAINTS INCLUDING INDEXES)', part, parent);
                EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                               parent, part, day, day + 1);
            END IF;
        END IF;
    END LOOP;
END $$;
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("ALTER TABLE score ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE score FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON score TO tripoint_app USING ({TENANT}) WITH CHECK ({TENANT})")
    op.execute(_ensure_day("'request', 'context_span', 'content', 'score'"))


def downgrade() -> None:
    op.execute(_ensure_day("'request', 'context_span', 'content'"))
    op.execute("DROP TABLE score")
