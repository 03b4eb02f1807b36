"""Comparisons: pairs of answers that a judge reads side by side, in both orders."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
-- What was compared stays as it was: `pairs` says of each pair which requests they are of, where they are stored ones,
-- what it clusters with, and how long both answers are. Their texts are in the judgements.
CREATE TABLE comparison (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    rubric_id bigint NOT NULL REFERENCES rubric (id),
    judge_id bigint NOT NULL REFERENCES judge (id),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    first_label text NOT NULL,
    second_label text NOT NULL,
    size integer NOT NULL CHECK (size > 0),
    pairs jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT ''
);
CREATE INDEX comparison_project_id_id_idx ON comparison (project_id, id);

ALTER TABLE judging ADD COLUMN comparison_id bigint REFERENCES comparison (id) ON DELETE CASCADE;
CREATE INDEX judging_comparison_idx ON judging (comparison_id) WHERE comparison_id IS NOT NULL;

GRANT SELECT, INSERT ON comparison TO tripoint_app;
"""

TENANT = "project_id = nullif(current_setting('app.project', true), '')::integer"


def upgrade() -> None:
    op.execute(TABLES)
    op.execute("ALTER TABLE comparison ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE comparison FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON comparison TO tripoint_app USING ({TENANT}) WITH CHECK ({TENANT})")


def downgrade() -> None:
    op.execute("DELETE FROM judging WHERE comparison_id IS NOT NULL")
    op.execute("ALTER TABLE judging DROP COLUMN comparison_id")
    op.execute("DROP TABLE comparison")
