"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Creates every table of version 1."""
    op.create_table(
        "audit_log",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index(op.f("ix_audit_log_subject"), "audit_log", ["subject"], unique=False)
    op.create_table(
        "delivery_files",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("rejected_lines", sa.Integer(), server_default="0", nullable=False),
        sa.Column("events", sa.Integer(), server_default="0", nullable=False),
        sa.Column("new_events", sa.Integer(), server_default="0", nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('reading', 'done', 'rejected')", name=op.f("ck_delivery_files_state_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_files")),
        sa.UniqueConstraint("sha256", name=op.f("uq_delivery_files_sha256")),
    )
    op.create_table(
        "marketing_campaigns",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("slug", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("template_name", sa.String(length=512), nullable=False),
        sa.Column("template_language", sa.String(length=20), nullable=False),
        sa.Column("template_parameters", JSON, nullable=False),
        sa.Column("daily_send_limit", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("next_position", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('draft', 'active', 'paused', 'completed', 'cancelled')",
            name=op.f("ck_marketing_campaigns_status_known"),
        ),
        sa.CheckConstraint("daily_send_limit > 0", name=op.f("ck_marketing_campaigns_daily_send_limit_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_marketing_campaigns")),
        sa.UniqueConstraint("slug", name=op.f("uq_marketing_campaigns_slug")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("campaign_slug", sa.String(length=100), nullable=True),
        sa.Column("send_date", sa.Date(), nullable=True),
        sa.Column("details", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_unreported",
        "outbox",
        ["id"],
        unique=False,
        sqlite_where=sa.text("reported_at IS NULL"),
        postgresql_where=sa.text("reported_at IS NULL"),
    )
    op.create_table(
        "senders",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("cloud_api", sa.Text(), nullable=True),
        sa.Column("lease_fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_holder", sa.Text(), nullable=True),
        sa.Column("lease_beat", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("newest_stamp", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_senders")),
        sa.UniqueConstraint("name", name=op.f("uq_senders_name")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("person_key", sa.String(length=32), nullable=False),
        sa.Column("phone", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status IN ('subscribed', 'unsubscribed')", name=op.f("ck_subscriptions_status_known")),
        sa.PrimaryKeyConstraint("person_key", name=op.f("pk_subscriptions")),
    )
    op.create_table(
        "batches",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("send_date", sa.Date(), nullable=False),
        sa.Column("sender_id", BIG_ID, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("moved_on", sa.Integer(), server_default="0", nullable=False),
        sa.Column("close_reason", sa.Text(), nullable=True),
        sa.Column("taken_by_run", sa.Text(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name=op.f("ck_batches_closed_has_time")),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("ck_batches_state_known")),
        sa.CheckConstraint("size > 0", name=op.f("ck_batches_never_empty")),
        sa.ForeignKeyConstraint(["sender_id"], ["senders.id"], name=op.f("fk_batches_sender_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint("send_date", name=op.f("uq_batches_send_date")),
    )
    op.create_table(
        "campaign_analytics",
        sa.Column("campaign_id", BIG_ID, nullable=False),
        sa.Column("send_date", sa.Date(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("pending", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("read", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("in_doubt", sa.Integer(), nullable=False),
        sa.Column("progress_percentage", sa.Numeric(precision=5, scale=2, asdecimal=False), nullable=False),
        sa.Column("delivery_rate", sa.Numeric(precision=5, scale=2, asdecimal=False), nullable=False),
        sa.Column("read_rate", sa.Numeric(precision=5, scale=2, asdecimal=False), nullable=False),
        sa.Column("refreshed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["marketing_campaigns.id"], name=op.f("fk_campaign_analytics_campaign_id")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "send_date", name=op.f("pk_campaign_analytics")),
    )
    op.create_table(
        "campaign_send_schedule",
        sa.Column("campaign_id", BIG_ID, nullable=False),
        sa.Column("send_date", sa.Date(), nullable=False),
        sa.Column("batch_number", sa.Integer(), nullable=False),
        sa.Column("planned_size", sa.Integer(), nullable=True),
        sa.Column("batch_size", sa.Integer(), nullable=True),
        sa.Column("messages_sent", sa.Integer(), nullable=True),
        sa.Column("messages_remaining", sa.Integer(), nullable=True),
        sa.Column("refreshed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["marketing_campaigns.id"], name=op.f("fk_campaign_send_schedule_campaign_id")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "send_date", name=op.f("pk_campaign_send_schedule")),
    )
    op.create_table(
        "external_usage",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("sender_id", BIG_ID, nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.CheckConstraint("people >= 0", name=op.f("ck_external_usage_people_not_negative")),
        sa.ForeignKeyConstraint(["sender_id"], ["senders.id"], name=op.f("fk_external_usage_sender_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_external_usage")),
    )
    op.create_index(
        op.f("ix_external_usage_sender_id_used_at"), "external_usage", ["sender_id", "used_at"], unique=False
    )
    op.create_table(
        "recipient_lists",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("campaign_id", BIG_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("kept_as", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("rows_read", sa.Integer(), server_default="0", nullable=False),
        sa.Column("added", sa.Integer(), server_default="0", nullable=False),
        sa.Column("duplicate_in_list", sa.Integer(), server_default="0", nullable=False),
        sa.Column("already_in_campaign", sa.Integer(), server_default="0", nullable=False),
        sa.Column("invalid", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unsubscribed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rejections_file", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('reading', 'done', 'failed')", name=op.f("ck_recipient_lists_state_known")),
        sa.CheckConstraint(
            "rows_read = added + duplicate_in_list + already_in_campaign + invalid + unsubscribed",
            name=op.f("ck_recipient_lists_counts_sum"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["marketing_campaigns.id"], name=op.f("fk_recipient_lists_campaign_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipient_lists")),
    )
    op.create_index(op.f("ix_recipient_lists_campaign_id"), "recipient_lists", ["campaign_id"], unique=False)
    op.create_table(
        "sender_limits",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("sender_id", BIG_ID, nullable=False),
        sa.Column("people_per_24_hours", sa.Integer(), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.CheckConstraint("people_per_24_hours >= 0", name=op.f("ck_sender_limits_limit_not_negative")),
        sa.ForeignKeyConstraint(["sender_id"], ["senders.id"], name=op.f("fk_sender_limits_sender_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sender_limits")),
    )
    op.create_index(op.f("ix_sender_limits_sender_id"), "sender_limits", ["sender_id"], unique=False)
    op.create_table(
        "campaign_recipients",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("campaign_id", BIG_ID, nullable=False),
        sa.Column("person_key", sa.String(length=32), nullable=False),
        sa.Column("phone", sa.String(length=32), nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("list_id", BIG_ID, nullable=True),
        sa.Column("line_number", sa.Integer(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("batch_id", BIG_ID, nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state <> 'pending' OR batch_id IS NULL", name=op.f("ck_campaign_recipients_pending_has_no_batch")
        ),
        sa.CheckConstraint(
            "state <> 'skipped' OR reason IS NOT NULL", name=op.f("ck_campaign_recipients_skipped_has_reason")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'claimed', 'attempting', 'accepted', 'sent', 'delivered', 'read', 'failed', 'skipped', 'in_doubt')",
            name=op.f("ck_campaign_recipients_state_known"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('claimed', 'attempting') OR batch_id IS NOT NULL",
            name=op.f("ck_campaign_recipients_claimed_has_batch"),
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_campaign_recipients_batch_id")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["marketing_campaigns.id"], name=op.f("fk_campaign_recipients_campaign_id")
        ),
        sa.ForeignKeyConstraint(["list_id"], ["recipient_lists.id"], name=op.f("fk_campaign_recipients_list_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_recipients")),
        sa.UniqueConstraint("campaign_id", "person_key", name=op.f("uq_campaign_recipients_campaign_id_person_key")),
    )
    op.create_index(
        "ix_campaign_recipients_batch",
        "campaign_recipients",
        ["batch_id", "state", "position"],
        unique=False,
        sqlite_where=sa.text("batch_id IS NOT NULL"),
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_index(op.f("ix_campaign_recipients_list_id"), "campaign_recipients", ["list_id"], unique=False)
    op.create_index(
        "ix_campaign_recipients_queue",
        "campaign_recipients",
        ["campaign_id", "position"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_campaign_recipients_unsettled",
        "campaign_recipients",
        ["campaign_id", "state"],
        unique=False,
        sqlite_where=sa.text("state IN ('pending', 'claimed', 'attempting', 'in_doubt')"),
        postgresql_where=sa.text("state IN ('pending', 'claimed', 'attempting', 'in_doubt')"),
    )
    op.create_table(
        "recipient_rejections",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("list_id", BIG_ID, nullable=False),
        sa.Column("line_number", sa.Integer(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "reason IN ('invalid', 'duplicate_in_list', 'already_in_campaign', 'unsubscribed')",
            name=op.f("ck_recipient_rejections_reason_known"),
        ),
        sa.ForeignKeyConstraint(
            ["list_id"], ["recipient_lists.id"], name=op.f("fk_recipient_rejections_list_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipient_rejections")),
    )
    op.create_index(op.f("ix_recipient_rejections_list_id"), "recipient_rejections", ["list_id"], unique=False)
    op.create_table(
        "send_attempts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("recipient_id", BIG_ID, nullable=False),
        sa.Column("attempt_number", sa.Integer(), nullable=False),
        sa.Column("batch_id", BIG_ID, nullable=False),
        sa.Column("sender_id", BIG_ID, nullable=False),
        sa.Column("person_key", sa.String(length=32), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("lease_fence", sa.BigInteger(), nullable=False),
        sa.Column("admitted_limit", sa.Integer(), nullable=False),
        sa.Column("admitted_count", sa.Integer(), nullable=False),
        sa.Column("was_counted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("counts_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error_code", sa.Integer(), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("refused_person", sa.Integer(), server_default="0", nullable=False),
        sa.Column("wamid", sa.Text(), nullable=True),
        sa.Column("wa_id", sa.Text(), nullable=True),
        sa.Column("message_status", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure_code", sa.Integer(), nullable=True),
        sa.Column("failure_text", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('calling', 'accepted', 'refused', 'not_sent', 'in_doubt', 'voided')",
            name=op.f("ck_send_attempts_outcome_known"),
        ),
        sa.CheckConstraint(
            "was_counted = 1 OR admitted_count <= admitted_limit", name=op.f("ck_send_attempts_admitted_within_limit")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_send_attempts_batch_id")),
        sa.ForeignKeyConstraint(
            ["recipient_id"], ["campaign_recipients.id"], name=op.f("fk_send_attempts_recipient_id")
        ),
        sa.ForeignKeyConstraint(["sender_id"], ["senders.id"], name=op.f("fk_send_attempts_sender_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_send_attempts")),
        sa.UniqueConstraint(
            "recipient_id", "attempt_number", name=op.f("uq_send_attempts_recipient_id_attempt_number")
        ),
    )
    op.create_index(op.f("ix_send_attempts_answered_at"), "send_attempts", ["answered_at"], unique=False)
    op.create_index(op.f("ix_send_attempts_batch_id"), "send_attempts", ["batch_id"], unique=False)
    op.create_index(
        "ix_send_attempts_in_doubt",
        "send_attempts",
        ["started_at"],
        unique=False,
        sqlite_where=sa.text("outcome = 'in_doubt'"),
        postgresql_where=sa.text("outcome = 'in_doubt'"),
    )
    op.create_index(
        "ix_send_attempts_wamid",
        "send_attempts",
        ["wamid"],
        unique=False,
        sqlite_where=sa.text("wamid IS NOT NULL"),
        postgresql_where=sa.text("wamid IS NOT NULL"),
    )
    op.create_index(
        "ix_send_attempts_window",
        "send_attempts",
        ["sender_id", "counts_until", "person_key"],
        unique=False,
        sqlite_where=sa.text("counts_until IS NOT NULL"),
        postgresql_where=sa.text("counts_until IS NOT NULL"),
    )
    op.create_index(
        "uq_send_attempts_never_twice",
        "send_attempts",
        ["recipient_id"],
        unique=True,
        sqlite_where=sa.text("outcome NOT IN ('refused', 'not_sent', 'voided')"),
        postgresql_where=sa.text("outcome NOT IN ('refused', 'not_sent', 'voided')"),
    )
    op.create_table(
        "delivery_events",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("wamid", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error_code", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("callback_data", sa.Text(), nullable=True),
        sa.Column("attempt_id", sa.String(length=36), nullable=True),
        sa.Column("file_id", BIG_ID, nullable=False),
        sa.Column("line_number", sa.Integer(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["send_attempts.id"], name=op.f("fk_delivery_events_attempt_id")),
        sa.ForeignKeyConstraint(["file_id"], ["delivery_files.id"], name=op.f("fk_delivery_events_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_events")),
        sa.UniqueConstraint(
            "wamid",
            "status",
            "occurred_at",
            "error_code",
            name=op.f("uq_delivery_events_wamid_status_occurred_at_error_code"),
        ),
    )
    op.create_index(
        "ix_delivery_events_attempt",
        "delivery_events",
        ["attempt_id"],
        unique=False,
        sqlite_where=sa.text("attempt_id IS NOT NULL"),
        postgresql_where=sa.text("attempt_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_delivery_events_file_id_line_number"), "delivery_events", ["file_id", "line_number"], unique=False
    )
    op.create_index(
        "ix_delivery_events_unmatched",
        "delivery_events",
        ["id"],
        unique=False,
        sqlite_where=sa.text("attempt_id IS NULL"),
        postgresql_where=sa.text("attempt_id IS NULL"),
    )


def downgrade() -> None:
    """Drops them again."""
    op.drop_table("delivery_events")
    op.drop_table("send_attempts")
    op.drop_table("recipient_rejections")
    op.drop_table("campaign_recipients")
    op.drop_table("sender_limits")
    op.drop_table("recipient_lists")
    op.drop_table("external_usage")
    op.drop_table("campaign_send_schedule")
    op.drop_table("campaign_analytics")
    op.drop_table("batches")
    op.drop_table("subscriptions")
    op.drop_table("senders")
    op.drop_table("outbox")
    op.drop_table("marketing_campaigns")
    op.drop_table("delivery_files")
    op.drop_table("audit_log")
