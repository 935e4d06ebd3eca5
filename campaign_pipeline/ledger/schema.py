"""The tables, as SQLAlchemy Core metadata for SQLite and PostgreSQL alike.

Add here a table or column together with a migration; the constraints carry the promises, so say which one.
Keep out queries and rules.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql

from campaign_pipeline.ledger.states import (
    MAY_BE_REPEATED,
    UNSETTLED,
    AliasKind,
    ApiRole,
    AttemptOutcome,
    BatchState,
    CampaignStatus,
    DeliveryFileState,
    InboundKind,
    ListState,
    PauseCause,
    RecipientState,
    RejectionReason,
    SubscriptionStatus,
    Voice,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. Naive datetimes are refused, so that no local time gets into the ledger unnoticed."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turns an aware datetime into UTC; SQLite stores it without the offset, in one sortable form."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"{value!r} has no time zone; the ledger takes aware datetimes only"
            raise ValueError(msg)
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Gives every moment back as an aware datetime in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BigId: Final = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only for INTEGER PRIMARY KEY."""

Json: Final = JSON().with_variant(postgresql.JSONB(), "postgresql")

JsonOrNull: Final = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
"""Without the option, nothing would be kept as the JSON document `null`."""

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _quoted(values: Iterable[StrEnum]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({_quoted(values)})", name=f"{column}_known")


def _partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    condition = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


marketing_campaigns = Table(
    "marketing_campaigns",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("slug", String(100), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("template_name", String(512), nullable=False),
    Column("template_language", String(20), nullable=False),
    # [{"name": "first_name", "column": "first_name"}, …], or "fixed" for "column"; names that are 1, 2, 3 … make a
    # positional template.
    Column("template_parameters", Json, nullable=False),
    Column("daily_send_limit", Integer, nullable=False),
    # 1 if it takes on each date as many as the sender's limit lets it; `daily_send_limit` is then left aside.
    Column("follows_sender_limit", Integer, nullable=False, server_default="0"),
    Column("priority", Integer, nullable=False),
    Column("status", String(20), nullable=False),
    Column("status_reason", Text),
    Column("paused_by", String(20)),
    # Since when its cause is known; of a webhook about the template, when Meta says that it was.
    Column("paused_at", UtcDateTime),
    # What failed before it was resumed is old news, and pauses it no more.
    Column("resumed_at", UtcDateTime),
    Column("resumed_by", Text),
    # The next free place in the queue; raised in the transaction that adds people, so that no two share a place.
    Column("next_position", BigInteger, nullable=False, server_default="1"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("activated_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    # The template as Meta showed it then, and a word that changes with it; all null when nobody has looked yet.
    Column("template", JsonOrNull),
    Column("template_version", String(16)),
    Column("template_checked_at", UtcDateTime),
    _one_of("status", CampaignStatus),
    _one_of("paused_by", PauseCause),
    CheckConstraint("daily_send_limit > 0", name="daily_send_limit_positive"),
)

recipient_lists = Table(
    "recipient_lists",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("campaign_id", ForeignKey("marketing_campaigns.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("sha256", String(64)),
    Column("kept_as", Text),
    Column("state", String(20), nullable=False),
    Column("error", Text),
    Column("rows_read", Integer, nullable=False, server_default="0"),
    Column("added", Integer, nullable=False, server_default="0"),
    Column("duplicate_in_list", Integer, nullable=False, server_default="0"),
    Column("already_in_campaign", Integer, nullable=False, server_default="0"),
    Column("invalid", Integer, nullable=False, server_default="0"),
    Column("unsubscribed", Integer, nullable=False, server_default="0"),
    Column("rejections_file", Text),
    Column("received_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    _one_of("state", ListState),
    # Every row of a list ends somewhere.
    CheckConstraint(
        "rows_read = added + duplicate_in_list + already_in_campaign + invalid + unsubscribed", name="counts_sum"
    ),
)

recipient_rejections = Table(
    "recipient_rejections",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("list_id", ForeignKey("recipient_lists.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("line_number", Integer, nullable=False),
    Column("value", Text, nullable=False),
    Column("reason", String(40), nullable=False),
    Column("detail", Text, nullable=False),
    _one_of("reason", RejectionReason),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    # The present state, derived from what was said; for who has said nothing, what the first upload made of them.
    Column("person_key", String(32), primary_key=True),
    Column("phone", String(32), nullable=False),
    Column("status", String(20), nullable=False),
    Column("source", Text, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    _one_of("status", SubscriptionStatus),
)

subscription_events = Table(
    "subscription_events",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("person_key", String(32), nullable=False),
    # Tells a word from the person's other words: the same one, heard again, is kept once.
    Column("word_key", String(80), nullable=False),
    Column("phone", String(32), nullable=False),
    Column("status", String(20), nullable=False),
    Column("voice", String(20), nullable=False),
    Column("source", Text, nullable=False),
    # When it was said; of two words the later one counts, whichever was heard first.
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    _one_of("status", SubscriptionStatus),
    _one_of("voice", Voice),
    UniqueConstraint("person_key", "word_key"),
)

opt_ins = Table(
    "opt_ins",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("person_key", String(32), nullable=False),
    # Tells one piece of evidence from the others of the same person.
    Column("evidence_key", String(64), nullable=False),
    Column("source", Text, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    # What the person agreed to, where it is known.
    Column("text", Text),
    Column("received_at", UtcDateTime, nullable=False),
    UniqueConstraint("person_key", "evidence_key"),
)

senders = Table(
    "senders",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    # Where its messages go. A ledger stays with one Cloud API, so that a trial's people are never reached for real.
    Column("cloud_api", Text),
    # The lease. A holder raises `lease_beat`; whoever waits watches it by its own monotonic clock, so no clocks are
    # compared. `lease_fence` grows with each holder: what an old holder does carries a number no longer in force.
    Column("lease_fence", BigInteger, nullable=False, server_default="0"),
    Column("lease_holder", Text),
    Column("lease_beat", BigInteger, nullable=False, server_default="0"),
    Column("stopped_at", UtcDateTime),
    Column("stop_reason", Text),
    # What failed before a person let it go on is known to that person.
    Column("resumed_at", UtcDateTime),
    # No attempt is ever stamped earlier than the one before it, whatever the machine's clock does.
    Column("newest_stamp", UtcDateTime),
)

sender_limits = Table(
    "sender_limits",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("sender_id", ForeignKey("senders.id"), nullable=False, index=True),
    Column("people_per_24_hours", Integer, nullable=False),
    Column("effective_from", UtcDateTime, nullable=False),
    Column("source", Text, nullable=False),
    CheckConstraint("people_per_24_hours >= 0", name="limit_not_negative"),
)

held_countries = Table(
    "held_countries",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("sender_id", ForeignKey("senders.id"), nullable=False),
    # ISO 3166.
    Column("region", String(2), nullable=False),
    Column("reason", Text, nullable=False),
    Column("held_at", UtcDateTime, nullable=False),
    Column("released_at", UtcDateTime),
    Column("released_by", Text),
    _partial_index("uq_held_countries_held_once", "sender_id", "region", where="released_at IS NULL", unique=True),
)

external_usage = Table(
    "external_usage",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("sender_id", ForeignKey("senders.id"), nullable=False),
    Column("people", Integer, nullable=False),
    Column("used_at", UtcDateTime, nullable=False),
    Column("source", Text, nullable=False),
    CheckConstraint("people >= 0", name="people_not_negative"),
    Index(None, "sender_id", "used_at"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", BigId, primary_key=True),
    # A date's batch is taken once and never topped up later.
    Column("send_date", Date, nullable=False, unique=True),
    Column("sender_id", ForeignKey("senders.id"), nullable=False),
    Column("state", String(20), nullable=False),
    Column("size", Integer, nullable=False),
    Column("moved_on", Integer, nullable=False, server_default="0"),
    # 1 once something was heard of its people, until the analytics of its date are brought up to date.
    Column("analytics_due", Integer, nullable=False, server_default="0"),
    Column("close_reason", Text),
    Column("taken_by_run", Text, nullable=False),
    Column("taken_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    _one_of("state", BatchState),
    CheckConstraint("size > 0", name="never_empty"),
    CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_has_time"),
)

campaign_recipients = Table(
    "campaign_recipients",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("campaign_id", ForeignKey("marketing_campaigns.id"), nullable=False),
    Column("person_key", String(32), nullable=False),
    Column("phone", String(32), nullable=False),
    # The country that the number belongs to, two letters of ISO 3166; null for numbers of no country.
    Column("region", String(2)),
    Column("parameters", Json, nullable=False),
    Column("list_id", ForeignKey("recipient_lists.id"), index=True),
    Column("line_number", Integer),
    Column("position", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", Text),
    Column("batch_id", ForeignKey("batches.id")),
    # When WhatsApp accepted the message: what `sent` counts, whatever came after.
    Column("accepted_at", UtcDateTime),
    # When the person first replied to it: what `replied` counts.
    Column("replied_at", UtcDateTime),
    Column("changed_at", UtcDateTime, nullable=False),
    _one_of("state", RecipientState),
    CheckConstraint("state NOT IN ('claimed', 'attempting') OR batch_id IS NOT NULL", name="claimed_has_batch"),
    CheckConstraint("state <> 'pending' OR batch_id IS NULL", name="pending_has_no_batch"),
    CheckConstraint("state <> 'skipped' OR reason IS NOT NULL", name="skipped_has_reason"),
    # The same list again adds 0, and one person is in a campaign once, however the number was spelled.
    UniqueConstraint("campaign_id", "person_key"),
    # The queue in its order. `position` is in no other index, so that no planner with stale statistics prefers a longer
    # way round (the primary key, filtered) when most of a campaign has been sent.
    _partial_index("ix_campaign_recipients_queue", "campaign_id", "position", where="state = 'pending'"),
    _partial_index(
        "ix_campaign_recipients_unsettled", "campaign_id", "state", where=f"state IN ({_quoted(UNSETTLED)})"
    ),
    _partial_index("ix_campaign_recipients_batch", "batch_id", "state", "position", where="batch_id IS NOT NULL"),
)

send_attempts = Table(
    "send_attempts",
    metadata,
    # A UUID that travels as biz_opaque_callback_data and comes back in the status webhooks.
    Column("id", String(36), primary_key=True),
    Column("recipient_id", ForeignKey("campaign_recipients.id"), nullable=False),
    # The recipient's, here as well: how a campaign's last messages ended is asked with every failure.
    Column("campaign_id", BigId),
    Column("attempt_number", Integer, nullable=False),
    Column("batch_id", ForeignKey("batches.id"), nullable=False, index=True),
    Column("sender_id", ForeignKey("senders.id"), nullable=False),
    Column("person_key", String(32), nullable=False),
    Column("run_id", Text, nullable=False),
    Column("lease_fence", BigInteger, nullable=False),
    # The limit and the count (this person included) that it was admitted under: the proof that no window was exceeded.
    Column("admitted_limit", Integer, nullable=False),
    Column("admitted_count", Integer, nullable=False),
    # 1 if the person was in the window already and so took no place: that is allowed when the limit was lowered since.
    Column("was_counted", Integer, nullable=False, server_default="0"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime),
    # Uses capacity until then: far away while the call is out, 24 h after its answer, null when certainly not accepted.
    Column("counts_until", UtcDateTime),
    Column("outcome", String(20), nullable=False),
    Column("http_status", Integer),
    Column("error_code", Integer),
    Column("error_text", Text),
    Column("refused_person", Integer, nullable=False, server_default="0"),
    Column("wamid", Text),
    Column("wa_id", Text),
    Column("message_status", Text),
    # The evidence of the status webhooks: the earliest time of each.
    Column("sent_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("read_at", UtcDateTime),
    Column("failed_at", UtcDateTime),
    Column("failure_code", Integer),
    Column("failure_text", Text),
    # Which version of the template the message was made after; null when nobody had read it.
    Column("template_version", String(16)),
    _one_of("outcome", AttemptOutcome),
    CheckConstraint("was_counted = 1 OR admitted_count <= admitted_limit", name="admitted_within_limit"),
    UniqueConstraint("recipient_id", "attempt_number"),
    # Never twice: while one attempt may have been accepted, the database takes no other for the same recipient.
    _partial_index(
        "uq_send_attempts_never_twice",
        "recipient_id",
        where=f"outcome NOT IN ({_quoted(MAY_BE_REPEATED)})",
        unique=True,
    ),
    _partial_index(
        "ix_send_attempts_window", "sender_id", "counts_until", "person_key", where="counts_until IS NOT NULL"
    ),
    _partial_index("ix_send_attempts_wamid", "wamid", where="wamid IS NOT NULL"),
    _partial_index("ix_send_attempts_in_doubt", "started_at", where=f"outcome = '{AttemptOutcome.IN_DOUBT}'"),
    Index(None, "answered_at"),
    Index(None, "campaign_id", "answered_at"),
)

person_aliases = Table(
    "person_aliases",
    metadata,
    # A wa_id or a business-scoped user id, as WhatsApp spells it: no phone number, whatever it looks like.
    Column("alias", String(200), primary_key=True),
    Column("person_key", String(32), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    _one_of("kind", AliasKind),
)

shared_accounts = Table(
    "shared_accounts",
    metadata,
    # Two people who turned out to be one WhatsApp account; each pair stands here both ways, to be found by either.
    Column("person_key", String(32), primary_key=True),
    Column("other_key", String(32), primary_key=True),
    Column("alias", String(200), nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
)

test_sends = Table(
    "test_sends",
    metadata,
    # A UUID that travels as biz_opaque_callback_data, as an attempt's id does.
    Column("id", String(36), primary_key=True),
    # Null once the draft was deleted: what was sent to whom stays.
    Column("campaign_id", ForeignKey("marketing_campaigns.id", ondelete="SET NULL"), index=True),
    Column("sender_id", ForeignKey("senders.id"), nullable=False),
    Column("template_name", String(512), nullable=False),
    Column("template_language", String(20), nullable=False),
    Column("template_version", String(16)),
    Column("person_key", String(32), nullable=False),
    Column("phone", String(32), nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime),
    Column("outcome", String(20), nullable=False),
    Column("http_status", Integer),
    Column("error_code", Integer),
    Column("error_text", Text),
    Column("wamid", Text),
    Column("message_status", Text),
    _one_of("outcome", AttemptOutcome),
)

campaign_send_schedule = Table(
    "campaign_send_schedule",
    metadata,
    Column("campaign_id", ForeignKey("marketing_campaigns.id"), primary_key=True),
    Column("send_date", Date, primary_key=True),
    Column("batch_number", Integer, nullable=False),
    Column("planned_size", Integer),
    Column("batch_size", Integer),
    Column("messages_sent", Integer),
    Column("messages_remaining", Integer),
    Column("refreshed_at", UtcDateTime, nullable=False),
)

campaign_analytics = Table(
    "campaign_analytics",
    metadata,
    Column("campaign_id", ForeignKey("marketing_campaigns.id"), primary_key=True),
    Column("send_date", Date, primary_key=True),
    Column("total", Integer, nullable=False),
    Column("pending", Integer, nullable=False),
    Column("sent", Integer, nullable=False),
    Column("delivered", Integer, nullable=False),
    Column("read", Integer, nullable=False),
    Column("replied", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("in_doubt", Integer, nullable=False),
    Column("progress_percentage", Numeric(5, 2, asdecimal=False), nullable=False),
    Column("delivery_rate", Numeric(5, 2, asdecimal=False), nullable=False),
    Column("read_rate", Numeric(5, 2, asdecimal=False), nullable=False),
    Column("refreshed_at", UtcDateTime, nullable=False),
)

delivery_files = Table(
    "delivery_files",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("name", Text, nullable=False),
    # A file is known by what is in it: the same bytes under another name are taken in once.
    Column("sha256", String(64), nullable=False, unique=True),
    Column("state", String(20), nullable=False),
    Column("reason", Text),
    # How far it was taken in, in the transaction that took it so far: bytes (before compression) and lines.
    Column("bytes_read", BigInteger, nullable=False, server_default="0"),
    Column("lines_read", BigInteger, nullable=False, server_default="0"),
    Column("readable_payloads", BigInteger, nullable=False, server_default="0"),
    Column("rejected_lines", Integer, nullable=False, server_default="0"),
    Column("events", Integer, nullable=False, server_default="0"),
    Column("new_events", Integer, nullable=False, server_default="0"),
    Column("words", Integer, nullable=False, server_default="0"),
    Column("received_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    _one_of("state", DeliveryFileState),
)

delivery_events = Table(
    "delivery_events",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("wamid", Text, nullable=False),
    Column("status", String(40), nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    # 0 where there is no error: a null would make every event differ from every other.
    Column("error_code", Integer, nullable=False, server_default="0"),
    Column("error_text", Text),
    # As it came in biz_opaque_callback_data, known to us or not.
    Column("callback_data", Text),
    # Whom the message went to, as WhatsApp spells it: aliases of the person, once matched.
    Column("recipient_alias", Text),
    Column("recipient_user_id", Text),
    # Ours, once matched; null while nobody here knows the message. It comes out of `send_attempts` itself, in which
    # nothing is ever deleted, and the file has a row before its first event: to have the database look both up again
    # for every event took more than a third of the time of storing it.
    Column("attempt_id", String(36)),
    Column("file_id", BigId, nullable=False),
    Column("line_number", Integer, nullable=False),
    Column("raw", Text, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    # When what a failure means for more than its message was done: once, however often the files are read.
    Column("acted_at", UtcDateTime),
    # Meta delivers at least once: the same event counts once.
    UniqueConstraint("wamid", "status", "occurred_at", "error_code"),
    _partial_index("ix_delivery_events_attempt", "attempt_id", where="attempt_id IS NOT NULL"),
    _partial_index(
        "ix_delivery_events_to_act_on",
        # Not by id: without a condition on its column SQLite prefers the primary key.
        "attempt_id",
        where="status = 'failed' AND acted_at IS NULL AND attempt_id IS NOT NULL",
    ),
    # To be counted. By wamid they are found with the unique constraint.
    _partial_index("ix_delivery_events_unmatched", "id", where="attempt_id IS NULL"),
)

delivery_progress = Table(
    "delivery_progress",
    metadata,
    # One row.
    Column("id", BigId, primary_key=True),
    # Up to which event everything is folded into attempts and people. Events are numbered in the order in which they
    # are committed: whoever stores them holds `fold_alone`.
    Column("folded_to", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("id = 1", name="one_row"),
)

account_events = Table(
    "account_events",
    metadata,
    Column("id", BigId, primary_key=True),
    # Of the change as it came: the same webhook counts once, whatever file it comes in.
    Column("sha256", String(64), nullable=False, unique=True),
    Column("field", String(60), nullable=False),
    # The template, or whatever else it is about: of two words about one subject the later one counts.
    Column("subject", Text, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("file_id", ForeignKey("delivery_files.id"), nullable=False),
    Column("line_number", Integer, nullable=False),
    Column("raw", Text, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("acted_at", UtcDateTime),
    # What was done about it, in a sentence; null when there was nothing to do.
    Column("result", Text),
    _partial_index("ix_account_events_to_act_on", "occurred_at", where="acted_at IS NULL"),
)

inbound_words = Table(
    "inbound_words",
    metadata,
    Column("id", BigId, primary_key=True),
    # Of the message's id or the entry as it came: the same webhook counts once, whatever file it comes in.
    Column("word_key", String(64), nullable=False, unique=True),
    Column("kind", String(20), nullable=False),
    # Who said it, as WhatsApp calls them; a business-scoped id may be all there is.
    Column("wa_id", String(200)),
    Column("user_id", String(200)),
    # What WhatsApp calls them from now on.
    Column("new_wa_id", String(200)),
    Column("new_user_id", String(200)),
    # The word that was understood, of our own list; never what else somebody writes.
    Column("said", Text),
    # The message that it answers, if it names one.
    Column("context_wamid", Text),
    Column("occurred_at", UtcDateTime, nullable=False),
    # The earliest moment of a message that this can be a reply to.
    Column("replies_since", UtcDateTime, nullable=False),
    # Whose reply it is, in the campaign that it counts for.
    Column("recipient_id", ForeignKey("campaign_recipients.id", ondelete="SET NULL")),
    Column("file_id", ForeignKey("delivery_files.id"), nullable=False, index=True),
    Column("received_at", UtcDateTime, nullable=False),
    Column("acted_at", UtcDateTime),
    _one_of("kind", InboundKind),
    _partial_index("ix_inbound_words_to_act_on", "occurred_at", "id", where="acted_at IS NULL"),
    # Found again when it becomes known who is called so, or whose message was answered.
    _partial_index("ix_inbound_words_wa_id", "wa_id", where="wa_id IS NOT NULL"),
    _partial_index("ix_inbound_words_user_id", "user_id", where="user_id IS NOT NULL"),
    _partial_index(
        "ix_inbound_words_context", "context_wamid", where="context_wamid IS NOT NULL AND recipient_id IS NULL"
    ),
    _partial_index("ix_inbound_words_recipient", "recipient_id", where="recipient_id IS NOT NULL"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("kind", String(60), nullable=False),
    Column("campaign_slug", String(100)),
    Column("send_date", Date),
    Column("details", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("reported_at", UtcDateTime),
    _partial_index("ix_outbox_unreported", "id", where="reported_at IS NULL"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", Json, nullable=False),
    Index(None, "subject"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", BigId, primary_key=True),
    # As people call the program that uses it; what it does stands under this name in the audit log.
    Column("name", String(100), nullable=False, unique=True),
    Column("role", String(20), nullable=False),
    # Its first characters, to be recognised by; too few to be guessed from.
    Column("prefix", String(20), nullable=False),
    # A token is 32 random bytes: its hash needs no salt and no slow function, since nobody can try them all.
    Column("sha256", String(64), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", Text, nullable=False),
    # To the minute.
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    _one_of("role", ApiRole),
)

api_requests = Table(
    "api_requests",
    metadata,
    # A request that may be repeated, by the key that its sender gave it: it is done once, and its answer kept.
    Column("token_id", ForeignKey("api_tokens.id"), primary_key=True),
    # Hash of method and address: elsewhere the same key is another one.
    Column("endpoint", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    # Hash of the body and how it is to be read: another request under the same key is refused.
    Column("fingerprint", String(64), nullable=False),
    # Whoever does it now. One that broke off is taken over after a while, and the older one stores nothing any more.
    Column("claim", String(36), nullable=False),
    Column("claimed_at", UtcDateTime, nullable=False, index=True),
    Column("status", Integer),
    Column("answer", Text),
)

api_launches = Table(
    "api_launches",
    metadata,
    # Whoever is just starting the run of a date: two at once would start two.
    Column("send_date", Date, primary_key=True),
    Column("claim", String(36), nullable=False),
    Column("claimed_at", UtcDateTime, nullable=False),
)


def _compare_by_bytes(tables: Iterable[Table]) -> None:
    """Has PostgreSQL sort and compare all text by its bytes, as SQLite does.

    By the rules of a language, as a database of `en_US.UTF-8` does it by default, the same rows come in another order,
    indexes of ids take twice as long, and an update of the operating system may break them
    (https://wiki.postgresql.org/wiki/Locale_data_changes). No text in the ledger is in a language that is sorted by.
    """
    for table in tables:
        for column in table.columns:
            if isinstance(column.type, String):
                kind = type(column.type)(length=column.type.length, collation="C")
                column.type = column.type.with_variant(kind, "postgresql")


_compare_by_bytes(metadata.tables.values())
