"""Everything that the ledger knows of one person: campaigns, calls, statuses, test sends, and what they have said.

Add here another thing that is known of a person. Nothing here changes a row.
Keep out how it is shown, and who may see a phone number.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from campaign_pipeline.ledger.bulk import in_portions
from campaign_pipeline.ledger.schema import (
    batches,
    campaign_recipients,
    delivery_events,
    delivery_files,
    marketing_campaigns,
    recipient_lists,
    send_attempts,
    shared_accounts,
    test_sends,
)
from campaign_pipeline.recipients.accounts import accounts_of
from campaign_pipeline.recipients.phone_numbers import PhoneNumber
from campaign_pipeline.recipients.subscriptions import Subscription, find_subscription, history_of

_OF_ATTEMPT = (
    "attempt_number",
    "run_id",
    "outcome",
    "started_at",
    "answered_at",
    "counts_until",
    "http_status",
    "error_code",
    "error_text",
    "wamid",
    "message_status",
    "sent_at",
    "delivered_at",
    "read_at",
    "failed_at",
    "failure_code",
    "failure_text",
)
_OF_TEST = (
    "template_name",
    "template_language",
    "by",
    "at",
    "answered_at",
    "outcome",
    "http_status",
    "error_code",
    "error_text",
    "wamid",
)


@dataclass(frozen=True, slots=True)
class StatusHeard:
    """A status of a message, as a webhook told it: when it was so, and when it came in; both UTC."""

    status: str
    occurred_at: datetime
    received_at: datetime
    error_code: int | None
    error_text: str | None
    file: str


@dataclass(frozen=True, slots=True)
class CallMade:
    """One call for the person, and everything that was heard of it."""

    attempt_id: str
    attempt_number: int
    send_date: date
    run_id: str
    outcome: str
    started_at: datetime
    answered_at: datetime | None
    counts_until: datetime | None
    http_status: int | None
    error_code: int | None
    error_text: str | None
    wamid: str | None
    message_status: str | None
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    failed_at: datetime | None
    failure_code: int | None
    failure_text: str | None
    statuses: Sequence[StatusHeard]


@dataclass(frozen=True, slots=True)
class WordSaid:
    """One word of the person on messages: when it was said, and when it was heard; both UTC.

    Attributes:
        by: By whom, or through what: the person, Meta's own setting, an operator, a list or a file.
        source: Where it was said.
    """

    status: str
    by: str
    source: str
    said_at: datetime
    heard_at: datetime


@dataclass(frozen=True, slots=True)
class InCampaign:
    """The person in one campaign.

    Attributes:
        campaign: Its slug, with its status.
        phone: As the list had it, E.164.
        state: Where the person stands, and `reason` why.
        send_date: The date of the batch that the person is in, and when that was taken and closed, UTC.
        replied_at: When the person first replied to its message, UTC.
        changed_at: When the state changed last, UTC.
        attempts: The calls, the oldest first.
    """

    campaign: str
    campaign_status: str
    phone: str
    state: str
    reason: str | None
    list_name: str | None
    line_number: int | None
    added_at: datetime | None
    send_date: date | None
    batch_taken_at: datetime | None
    batch_closed_at: datetime | None
    accepted_at: datetime | None
    replied_at: datetime | None
    changed_at: datetime
    attempts: Sequence[CallMade]


@dataclass(frozen=True, slots=True)
class TestOfTemplate:
    """A test send to the person."""

    test_id: str
    campaign: str | None
    template_name: str
    template_language: str
    by: str
    at: datetime
    answered_at: datetime | None
    outcome: str
    http_status: int | None
    error_code: int | None
    error_text: str | None
    wamid: str | None


@dataclass(frozen=True, slots=True)
class PersonStory:
    """What is known of one person.

    Attributes:
        phone: E.164.
        subscription: What their words amount to, or that a list has brought them; None of whoever is not known.
        words: What they have said of messages, with any number of the account, the oldest first.
        same_account: Other numbers that turned out to be the same WhatsApp account.
        campaigns: The campaigns that the person is in, the oldest first.
        test_sends: Those to the number, the oldest first.
    """

    phone: str
    subscription: Subscription | None
    words: Sequence[WordSaid]
    same_account: Sequence[str]
    campaigns: Sequence[InCampaign]
    test_sends: Sequence[TestOfTemplate]


def story_of(connection: Connection, phone: PhoneNumber) -> PersonStory:
    """Everything that is known of a person; of somebody who is not known, nothing."""
    return PersonStory(
        phone=phone.e164,
        subscription=find_subscription(connection, phone),
        words=_words(connection, phone.person_key),
        same_account=_same_account(connection, phone.person_key),
        campaigns=_in_campaigns(connection, phone.person_key),
        test_sends=_test_sends(connection, phone.person_key),
    )


def _words(connection: Connection, person_key: str) -> list[WordSaid]:
    person_keys = {person_key}.union(*accounts_of(connection, {person_key}))
    return [
        WordSaid(each.word.status, each.word.voice, each.word.source, each.word.at, each.received_at)
        for each in history_of(connection, person_keys)
    ]


def _same_account(connection: Connection, person_key: str) -> list[str]:
    query = select(shared_accounts.c.other_key).where(shared_accounts.c.person_key == person_key)
    return list(connection.execute(query.order_by(shared_accounts.c.other_key)).scalars())


def _in_campaigns(connection: Connection, person_key: str) -> list[InCampaign]:
    recipient, campaign = campaign_recipients.c, marketing_campaigns.c
    # Campaign by campaign, of which there are few: a person is found in each by the index that keeps them unique.
    ids = list(connection.execute(select(campaign.id)).scalars())
    query = (
        select(
            *recipient["id", "phone", "state", "reason", "line_number", "accepted_at", "replied_at", "changed_at"],
            campaign.slug,
            campaign.status,
            recipient_lists.c.name.label("list_name"),
            recipient_lists.c.received_at.label("added_at"),
            batches.c.send_date,
            batches.c.taken_at,
            batches.c.closed_at,
        )
        .select_from(
            campaign_recipients.join(marketing_campaigns, campaign.id == recipient.campaign_id)
            .outerjoin(recipient_lists, recipient_lists.c.id == recipient.list_id)
            .outerjoin(batches, batches.c.id == recipient.batch_id)
        )
        .where(recipient.person_key == person_key)
    )
    found: list[Row] = []
    for some in in_portions(ids):
        found += connection.execute(query.where(recipient.campaign_id.in_(some)))
    attempts = _attempts_of(connection, [row.id for row in found])
    return [
        InCampaign(
            campaign=row.slug,
            campaign_status=row.status,
            phone=row.phone,
            state=row.state,
            reason=row.reason,
            list_name=row.list_name,
            line_number=row.line_number,
            added_at=row.added_at,
            send_date=row.send_date,
            batch_taken_at=row.taken_at,
            batch_closed_at=row.closed_at,
            accepted_at=row.accepted_at,
            replied_at=row.replied_at,
            changed_at=row.changed_at,
            attempts=attempts[row.id],
        )
        for row in sorted(found, key=lambda row: row.id)
    ]


def _attempts_of(connection: Connection, recipient_ids: Sequence[int]) -> dict[int, list[CallMade]]:
    rows: list[Row] = []
    for some in in_portions(recipient_ids):
        query = select(send_attempts, batches.c.send_date).join(batches, batches.c.id == send_attempts.c.batch_id)
        query = query.where(send_attempts.c.recipient_id.in_(some))
        rows += connection.execute(query.order_by(send_attempts.c.recipient_id, send_attempts.c.attempt_number))
    heard = _statuses_of(connection, [row.id for row in rows])
    attempts: dict[int, list[CallMade]] = defaultdict(list)
    for row in rows:
        known: dict[str, Any] = {name: getattr(row, name) for name in _OF_ATTEMPT}
        attempts[row.recipient_id].append(
            CallMade(attempt_id=row.id, send_date=row.send_date, statuses=heard[row.id], **known)
        )
    return attempts


def _statuses_of(connection: Connection, attempt_ids: Sequence[str]) -> dict[str, list[StatusHeard]]:
    event = delivery_events.c
    heard: dict[str, list[StatusHeard]] = defaultdict(list)
    for some in in_portions(attempt_ids):
        query = (
            select(
                *event["attempt_id", "status", "occurred_at", "received_at", "error_code", "error_text"],
                delivery_files.c.name,
            )
            .join(delivery_files, delivery_files.c.id == event.file_id)
            .where(event.attempt_id.in_(some))
            .order_by(event.occurred_at, event.id)
        )
        for row in connection.execute(query):
            heard[row.attempt_id].append(
                # 0 stands where there is no error.
                StatusHeard(
                    row.status, row.occurred_at, row.received_at, row.error_code or None, row.error_text, row.name
                )
            )
    return heard


def _test_sends(connection: Connection, person_key: str) -> list[TestOfTemplate]:
    query = (
        select(test_sends, marketing_campaigns.c.slug)
        .outerjoin(marketing_campaigns, marketing_campaigns.c.id == test_sends.c.campaign_id)
        .where(test_sends.c.person_key == person_key)
        .order_by(test_sends.c.at)
    )
    found: list[TestOfTemplate] = []
    for row in connection.execute(query):
        known: dict[str, Any] = {name: getattr(row, name) for name in _OF_TEST}
        found.append(TestOfTemplate(test_id=row.id, campaign=row.slug, **known))
    return found
