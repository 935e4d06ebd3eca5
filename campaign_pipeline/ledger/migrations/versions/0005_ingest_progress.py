"""How far each status file was taken in, up to which event everything is folded, and which analytics are due."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
REFERENCES = {"attempt_id": "send_attempts.id", "file_id": "delivery_files.id"}
INDEXES = (
    ("ix_delivery_events_attempt", "attempt_id", "attempt_id IS NOT NULL"),
    ("ix_delivery_events_unmatched", "id", "attempt_id IS NULL"),
    (
        "ix_delivery_events_to_act_on",
        "attempt_id",
        "status = 'failed' AND acted_at IS NULL AND attempt_id IS NOT NULL",
    ),
)
PLACES = ("bytes_read", "lines_read", "readable_payloads")


def upgrade() -> None:
    """Makes the places; what was stored before was folded at once, and all analytics are derived once more."""
    for name in PLACES:
        op.add_column("delivery_files", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("delivery_files", sa.Column("words", sa.Integer(), server_default="0", nullable=False))
    # A file whose ingest was killed is read from its beginning, and its events are counted anew.
    op.execute("UPDATE delivery_files SET events = 0, new_events = 0, rejected_lines = 0 WHERE state = 'reading'")
    op.drop_index("ix_delivery_events_file_id_line_number", table_name="delivery_events")
    op.create_table(
        "delivery_progress",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("folded_to", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_delivery_progress_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_progress")),
    )
    op.execute(
        "INSERT INTO delivery_progress (id, folded_to) SELECT 1, max(id) FROM delivery_events HAVING count(*) > 0"
    )
    op.add_column("batches", sa.Column("analytics_due", sa.Integer(), server_default="0", nullable=False))
    op.execute("UPDATE batches SET analytics_due = 1")
    if op.get_bind().dialect.name == "postgresql":
        # Room on each page for what is learnt of all its messages later: it changes no indexed column, so that no index
        # is written to.
        op.execute("ALTER TABLE send_attempts SET (fillfactor = 50)")
        for name in REFERENCES:
            op.drop_constraint(f"fk_delivery_events_{name}", "delivery_events", type_="foreignkey")
    else:
        _make_events_again()


def _make_events_again(*references: sa.ForeignKeyConstraint) -> None:
    """SQLite takes a reference away, or adds one, only with a new table."""
    made = sa.Table("delivery_events", sa.MetaData(), *_columns_of_events(), *references)
    with op.batch_alter_table("delivery_events", recreate="always", copy_from=made):
        pass
    # In this order: SQLite prefers the last of several that would do.
    for name, column, condition in INDEXES:
        op.create_index(name, "delivery_events", [column], sqlite_where=sa.text(condition))


def _columns_of_events() -> list[sa.Column | sa.Constraint]:
    return [
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("wamid", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error_code", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error_text", sa.Text()),
        sa.Column("callback_data", sa.Text()),
        sa.Column("recipient_alias", sa.Text()),
        sa.Column("recipient_user_id", sa.Text()),
        sa.Column("attempt_id", sa.String(length=36)),
        sa.Column("file_id", BIG_ID, nullable=False),
        sa.Column("line_number", sa.Integer(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acted_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_delivery_events"),
        sa.UniqueConstraint(
            *("wamid", "status", "occurred_at", "error_code"),
            name="uq_delivery_events_wamid_status_occurred_at_error_code",
        ),
    ]


def downgrade() -> None:
    """Takes them away again."""
    references = [
        sa.ForeignKeyConstraint([name], [column], name=f"fk_delivery_events_{name}")
        for name, column in REFERENCES.items()
    ]
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE send_attempts RESET (fillfactor)")
        for name, column in REFERENCES.items():
            table, _, key = column.partition(".")
            op.create_foreign_key(f"fk_delivery_events_{name}", "delivery_events", table, [name], [key])
    else:
        _make_events_again(*references)
    op.drop_column("batches", "analytics_due")
    op.drop_table("delivery_progress")
    op.create_index("ix_delivery_events_file_id_line_number", "delivery_events", ["file_id", "line_number"])
    for name in ("words", *reversed(PLACES)):
        op.drop_column("delivery_files", name)
