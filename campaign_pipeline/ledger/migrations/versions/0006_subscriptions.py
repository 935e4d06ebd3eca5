"""What people have said of messages, word by word; evidence of consent; what comes in from people; replies."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

WORDS_OF_BEFORE = (
    "INSERT INTO subscription_events"
    " (person_key, word_key, phone, status, voice, source, occurred_at, received_at)"
    " SELECT person_key, 'before:' || person_key, phone, status,"
    " CASE WHEN source LIKE 'WhatsApp, error%' THEN 'meta' WHEN source LIKE 'list %' THEN 'list' ELSE 'operator' END,"
    " source, changed_at, changed_at FROM subscriptions"
    " WHERE status = 'unsubscribed' OR source NOT LIKE 'list %' ORDER BY person_key"
)
"""Each present state is the last word of its person; who came with a list and agreed by that has said nothing."""

PARTIAL_INDEXES = (
    ("ix_inbound_words_to_act_on", ["occurred_at", "id"], "acted_at IS NULL"),
    ("ix_inbound_words_wa_id", ["wa_id"], "wa_id IS NOT NULL"),
    ("ix_inbound_words_user_id", ["user_id"], "user_id IS NOT NULL"),
    ("ix_inbound_words_context", ["context_wamid"], "context_wamid IS NOT NULL AND recipient_id IS NULL"),
    ("ix_inbound_words_recipient", ["recipient_id"], "recipient_id IS NOT NULL"),
)


def upgrade() -> None:
    """Makes the tables and columns; what was said before becomes words."""
    op.create_table(
        "subscription_events",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("person_key", sa.String(length=32), nullable=False),
        sa.Column("word_key", sa.String(length=80), nullable=False),
        sa.Column("phone", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("voice", sa.String(length=20), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "status IN ('subscribed', 'unsubscribed')", name=op.f("ck_subscription_events_status_known")
        ),
        sa.CheckConstraint(
            "voice IN ('person', 'meta', 'operator', 'list', 'file')", name=op.f("ck_subscription_events_voice_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription_events")),
        sa.UniqueConstraint("person_key", "word_key", name=op.f("uq_subscription_events_person_key_word_key")),
    )
    op.create_table(
        "opt_ins",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("person_key", sa.String(length=32), nullable=False),
        sa.Column("evidence_key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opt_ins")),
        sa.UniqueConstraint("person_key", "evidence_key", name=op.f("uq_opt_ins_person_key_evidence_key")),
    )
    op.create_table(
        "inbound_words",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("word_key", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("wa_id", sa.String(length=200), nullable=True),
        sa.Column("user_id", sa.String(length=200), nullable=True),
        sa.Column("new_wa_id", sa.String(length=200), nullable=True),
        sa.Column("new_user_id", sa.String(length=200), nullable=True),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("context_wamid", sa.Text(), nullable=True),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("replies_since", MOMENT, nullable=False),
        sa.Column("recipient_id", BIG_ID, nullable=True),
        sa.Column("file_id", BIG_ID, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("acted_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "kind IN ('stop', 'start', 'preference_stop', 'preference_resume', 'changed', 'reply')",
            name=op.f("ck_inbound_words_kind_known"),
        ),
        sa.ForeignKeyConstraint(["file_id"], ["delivery_files.id"], name=op.f("fk_inbound_words_file_id")),
        sa.ForeignKeyConstraint(
            ["recipient_id"],
            ["campaign_recipients.id"],
            name=op.f("fk_inbound_words_recipient_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_words")),
        sa.UniqueConstraint("word_key", name=op.f("uq_inbound_words_word_key")),
    )
    op.create_index(op.f("ix_inbound_words_file_id"), "inbound_words", ["file_id"])
    for name, columns, where in PARTIAL_INDEXES:
        condition = sa.text(where)
        op.create_index(name, "inbound_words", columns, sqlite_where=condition, postgresql_where=condition)
    op.add_column("campaign_recipients", sa.Column("replied_at", MOMENT, nullable=True))
    op.add_column("campaign_analytics", sa.Column("replied", sa.Integer(), server_default="0", nullable=False))
    op.execute(WORDS_OF_BEFORE)


def downgrade() -> None:
    """Takes them away again; the present state of each person stays."""
    op.drop_column("campaign_analytics", "replied")
    op.drop_column("campaign_recipients", "replied_at")
    op.drop_table("inbound_words")
    op.drop_table("opt_ins")
    op.drop_table("subscription_events")
