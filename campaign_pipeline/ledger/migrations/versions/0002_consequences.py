"""What failures and Meta's words about the account amount to, each acted on once."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TO_ACT_ON = sa.text("status = 'failed' AND acted_at IS NULL AND attempt_id IS NOT NULL")
IS_HELD = sa.text("released_at IS NULL")
NOT_ACTED_ON = sa.text("acted_at IS NULL")


def upgrade() -> None:
    """Adds what is needed to stop, pause and hold by Meta's word; failures that came before are known to people."""
    op.add_column("senders", sa.Column("resumed_at", sa.DateTime(timezone=True)))
    op.add_column("marketing_campaigns", sa.Column("resumed_at", sa.DateTime(timezone=True)))
    op.add_column("marketing_campaigns", sa.Column("resumed_by", sa.Text()))
    op.add_column("marketing_campaigns", sa.Column("paused_at", sa.DateTime(timezone=True)))
    op.add_column("send_attempts", sa.Column("campaign_id", BIG_ID))
    op.execute(
        "UPDATE send_attempts SET campaign_id ="
        " (SELECT campaign_id FROM campaign_recipients WHERE campaign_recipients.id = send_attempts.recipient_id)"
    )
    op.create_index(op.f("ix_send_attempts_campaign_id_answered_at"), "send_attempts", ["campaign_id", "answered_at"])
    # Written out: SQLite takes a check with a new column only as a part of it.
    op.execute(
        "ALTER TABLE marketing_campaigns ADD COLUMN paused_by VARCHAR(20) "
        "CONSTRAINT ck_marketing_campaigns_paused_by_known "
        "CHECK (paused_by IN ('person', 'fault', 'failures', 'template', 'quality'))"
    )
    op.execute("UPDATE marketing_campaigns SET paused_by = 'person' WHERE status = 'paused'")
    op.add_column("delivery_events", sa.Column("acted_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE delivery_events SET acted_at = received_at WHERE status = 'failed'")
    op.create_index(
        "ix_delivery_events_to_act_on",
        "delivery_events",
        ["attempt_id"],
        sqlite_where=TO_ACT_ON,
        postgresql_where=TO_ACT_ON,
    )
    op.create_table(
        "held_countries",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("sender_id", BIG_ID, nullable=False),
        sa.Column("region", sa.String(length=2), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True)),
        sa.Column("released_by", sa.Text()),
        sa.ForeignKeyConstraint(["sender_id"], ["senders.id"], name=op.f("fk_held_countries_sender_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_held_countries")),
    )
    op.create_index(
        "uq_held_countries_held_once",
        "held_countries",
        ["sender_id", "region"],
        unique=True,
        sqlite_where=IS_HELD,
        postgresql_where=IS_HELD,
    )
    op.create_table(
        "account_events",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("field", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("file_id", BIG_ID, nullable=False),
        sa.Column("line_number", sa.Integer(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acted_at", sa.DateTime(timezone=True)),
        sa.Column("result", sa.Text()),
        sa.ForeignKeyConstraint(["file_id"], ["delivery_files.id"], name=op.f("fk_account_events_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_events")),
        sa.UniqueConstraint("sha256", name=op.f("uq_account_events_sha256")),
    )
    op.create_index(
        "ix_account_events_to_act_on",
        "account_events",
        ["occurred_at"],
        sqlite_where=NOT_ACTED_ON,
        postgresql_where=NOT_ACTED_ON,
    )


def downgrade() -> None:
    """Takes it away again, with what it says."""
    op.drop_table("account_events")
    op.drop_table("held_countries")
    op.drop_index("ix_delivery_events_to_act_on", table_name="delivery_events")
    op.drop_column("delivery_events", "acted_at")
    op.drop_column("marketing_campaigns", "paused_by")
    op.drop_index(op.f("ix_send_attempts_campaign_id_answered_at"), table_name="send_attempts")
    op.drop_column("send_attempts", "campaign_id")
    op.drop_column("marketing_campaigns", "paused_at")
    op.drop_column("marketing_campaigns", "resumed_by")
    op.drop_column("marketing_campaigns", "resumed_at")
    op.drop_column("senders", "resumed_at")
