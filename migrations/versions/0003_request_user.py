"""An index for the requests of one user. Building it holds up writes: seconds for a million rows."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX request_user_idx ON request (project_id, user_key, started_at) WHERE user_key IS NOT NULL"
    )


def downgrade() -> None:
    op.execute("DROP INDEX request_user_idx")
