"""The template as Meta shows it, its version on each attempt, and test sends."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Adds the columns and the table."""
    op.add_column("marketing_campaigns", sa.Column("template", JSON, nullable=True))
    op.add_column("marketing_campaigns", sa.Column("template_version", sa.String(length=16), nullable=True))
    op.add_column("marketing_campaigns", sa.Column("template_checked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("send_attempts", sa.Column("template_version", sa.String(length=16), nullable=True))
    op.create_table(
        "test_sends",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("campaign_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("sender_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("template_name", sa.String(length=512), nullable=False),
        sa.Column("template_language", sa.String(length=20), nullable=False),
        sa.Column("template_version", sa.String(length=16), nullable=True),
        sa.Column("person_key", sa.String(length=32), nullable=False),
        sa.Column("phone", sa.String(length=32), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error_code", sa.Integer(), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("wamid", sa.Text(), nullable=True),
        sa.Column("message_status", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('calling', 'accepted', 'refused', 'not_sent', 'in_doubt', 'voided')",
            name=op.f("ck_test_sends_outcome_known"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["marketing_campaigns.id"],
            name=op.f("fk_test_sends_campaign_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(["sender_id"], ["senders.id"], name=op.f("fk_test_sends_sender_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_test_sends")),
    )
    op.create_index(op.f("ix_test_sends_campaign_id"), "test_sends", ["campaign_id"], unique=False)


def downgrade() -> None:
    """Takes them away again."""
    op.drop_index(op.f("ix_test_sends_campaign_id"), table_name="test_sends")
    op.drop_table("test_sends")
    op.drop_column("send_attempts", "template_version")
    op.drop_column("marketing_campaigns", "template_checked_at")
    op.drop_column("marketing_campaigns", "template_version")
    op.drop_column("marketing_campaigns", "template")
