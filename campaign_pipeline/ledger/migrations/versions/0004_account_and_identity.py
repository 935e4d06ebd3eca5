"""Regions of numbers, aliases of people, and campaigns that follow the sender's limit."""

import json
from collections.abc import Iterator, Sequence

import phonenumbers
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROWS_AT_A_TIME = 20_000
IDS_PER_STATEMENT = 5_000

ALIASES = (
    "INSERT INTO person_aliases (alias, person_key, kind, first_seen_at)"
    " SELECT wa_id, person_key, CASE WHEN wa_id LIKE '__.%' THEN 'bsuid' ELSE 'wa_id' END, min(started_at)"
    " FROM send_attempts WHERE wa_id IS NOT NULL AND length(wa_id) BETWEEN 1 AND 200 GROUP BY wa_id, person_key",
    *(
        f"INSERT INTO person_aliases (alias, person_key, kind, first_seen_at)"  # noqa: S608
        f" SELECT e.{name}, a.person_key, CASE WHEN e.{name} LIKE '__.%' THEN 'bsuid' ELSE 'wa_id' END,"
        " min(e.received_at) FROM delivery_events AS e JOIN send_attempts AS a ON a.id = e.attempt_id"
        f" WHERE e.{name} IS NOT NULL GROUP BY e.{name}, a.person_key ON CONFLICT DO NOTHING"
        for name in ("recipient_alias", "recipient_user_id")
    ),
)

SHARED_ACCOUNTS = (
    "INSERT INTO shared_accounts (person_key, other_key, alias, found_at)"
    " SELECT one.person_key, other.person_key, min(one.alias), min(other.first_seen_at)"
    " FROM person_aliases AS one JOIN person_aliases AS other ON other.alias = one.alias"
    " AND other.person_key <> one.person_key GROUP BY one.person_key, other.person_key"
)
"""Nobody is skipped here: whoever is admitted next is held against this table."""


def upgrade() -> None:
    """Makes the tables and columns, and fills them from what is there."""
    op.add_column(
        "marketing_campaigns", sa.Column("follows_sender_limit", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("campaign_recipients", sa.Column("region", sa.String(length=2), nullable=True))
    op.add_column("delivery_events", sa.Column("recipient_alias", sa.Text(), nullable=True))
    op.add_column("delivery_events", sa.Column("recipient_user_id", sa.Text(), nullable=True))
    op.create_table(
        "person_aliases",
        sa.Column("alias", sa.String(length=200), nullable=False),
        sa.Column("person_key", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('wa_id', 'bsuid')", name=op.f("ck_person_aliases_kind_known")),
        sa.PrimaryKeyConstraint("alias", "person_key", name=op.f("pk_person_aliases")),
    )
    op.create_table(
        "shared_accounts",
        sa.Column("person_key", sa.String(length=32), nullable=False),
        sa.Column("other_key", sa.String(length=32), nullable=False),
        sa.Column("alias", sa.String(length=200), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("person_key", "other_key", name=op.f("pk_shared_accounts")),
    )
    connection = op.get_bind()
    _fill_regions(connection)
    _fill_recipients_of_events(connection)
    for statement in (*ALIASES, SHARED_ACCOUNTS):
        connection.execute(sa.text(statement))


def downgrade() -> None:
    """Takes them away again."""
    op.drop_table("shared_accounts")
    op.drop_table("person_aliases")
    op.drop_column("delivery_events", "recipient_user_id")
    op.drop_column("delivery_events", "recipient_alias")
    op.drop_column("campaign_recipients", "region")
    op.drop_column("marketing_campaigns", "follows_sender_limit")


def _fill_regions(connection: sa.Connection) -> None:
    people = sa.table("campaign_recipients", sa.column("id"), sa.column("phone"), sa.column("region"))
    for rows in _in_turn(connection, people, people.c.phone):
        ids_of: dict[str, list[int]] = {}
        for row in rows:
            region = _region_of(row.phone)
            if region is not None:
                ids_of.setdefault(region, []).append(row.id)
        for region, ids in ids_of.items():
            for start in range(0, len(ids), IDS_PER_STATEMENT):
                some = ids[start : start + IDS_PER_STATEMENT]
                connection.execute(sa.update(people).where(people.c.id.in_(some)).values(region=region))


def _region_of(phone: str) -> str | None:
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(phone))
    except phonenumbers.NumberParseException:
        return None
    # 001 stands for the numbers of no country.
    return region if region is not None and region.isalpha() else None


def _fill_recipients_of_events(connection: sa.Connection) -> None:
    """Later evidence about an attempt reads all its events, also those from before."""
    events = sa.table(
        "delivery_events",
        sa.column("id"),
        sa.column("raw"),
        sa.column("recipient_alias"),
        sa.column("recipient_user_id"),
    )
    for rows in _in_turn(connection, events, events.c.raw):
        told = [found for row in rows if (found := _recipient_in(row)) is not None]
        if told:
            connection.execute(
                sa.update(events)
                .where(events.c.id == sa.bindparam("event"))
                .values(recipient_alias=sa.bindparam("wa"), recipient_user_id=sa.bindparam("user")),
                told,
            )


def _recipient_in(row: sa.Row) -> dict[str, object] | None:
    try:
        status = json.loads(row.raw)
    except ValueError:
        return None
    if not isinstance(status, dict):
        return None
    wa, user = (_alias(status.get(name)) for name in ("recipient_id", "recipient_user_id"))
    return {"event": row.id, "wa": wa, "user": user} if wa or user else None


def _alias(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable() else None


def _in_turn(connection: sa.Connection, table: sa.TableClause, column: sa.ColumnElement) -> Iterator[Sequence[sa.Row]]:
    """The rows of a table some thousand at a time, along its key."""
    last = 0
    while rows := connection.execute(
        sa.select(table.c.id, column).where(table.c.id > last).order_by(table.c.id).limit(ROWS_AT_A_TIME)
    ).all():
        yield rows
        last = rows[-1].id
