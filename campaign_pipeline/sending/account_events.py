"""What is done about Meta's words about the account: its limit, its troubles, its templates; each once.

Add here what a kind of word changes. Keep out what a webhook means: `delivery.account_words`.

Of two words about the same subject the later one counts, in whatever order they come; and none undoes what a person has
said after it.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Row, func, select, update

from campaign_pipeline.campaigns.lifecycle import pause_for, resume_unpaused
from campaign_pipeline.delivery.account_words import (
    LimitTold,
    Template,
    TemplateIsWell,
    TemplateTrouble,
    Trouble,
    Word,
    read_word,
)
from campaign_pipeline.delivery.consequences import stop_sender
from campaign_pipeline.ledger.conditions import ACCOUNT_EVENT_TO_ACT_ON
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.locks import hold_senders
from campaign_pipeline.ledger.schema import account_events, marketing_campaigns, sender_limits, senders
from campaign_pipeline.ledger.states import CampaignStatus
from campaign_pipeline.sending.account_terms import AccountTerms
from campaign_pipeline.sending.capacity import sender_id
from campaign_pipeline.sending.limits import FROM_META, take_over_limit
from campaign_pipeline.whatsapp.account_reading import MessagingLimit

META: Final = "Meta"
"""Who is named in the audit log for what a webhook about the account has brought about."""

_AT_ONCE: Final = 500


def act_on_account_events(ledger: Ledger, terms: AccountTerms, clock: Callable[[], datetime]) -> list[str]:
    """Does what Meta's words mean that nothing was done about yet; often nothing.

    Killed in the middle, the next one goes on with the rest.

    Returns:
        What was done, a sentence each.
    """
    done: list[str] = []
    while True:
        with ledger.read() as connection:
            if connection.execute(select(account_events.c.id).where(ACCOUNT_EVENT_TO_ACT_ON).limit(1)).first() is None:
                return done
        with ledger.write() as connection:
            sender_id(connection)
            hold_senders(connection)
            done += _act_on_some(connection, terms, clock())


def _act_on_some(connection: Connection, terms: AccountTerms, now: datetime) -> list[str]:
    rows = connection.execute(
        select(account_events)
        .where(ACCOUNT_EVENT_TO_ACT_ON)
        .order_by(account_events.c.occurred_at, account_events.c.id)
        .limit(_AT_ONCE)
    ).all()
    results = {row.id: _act(connection, row, terms, now) for row in rows}
    for event_id, result in results.items():
        connection.execute(
            update(account_events).where(account_events.c.id == event_id).values(acted_at=now, result=result)
        )
    return [result for result in results.values() if result is not None]


def _act(connection: Connection, row: Row, terms: AccountTerms, now: datetime) -> str | None:
    change = json.loads(row.raw)
    if terms.business_account_id not in (None, change["id"]):
        return None
    word = read_word(row.field, change["value"])
    if word is None or _is_overtaken(connection, row):
        return None
    return _do(connection, word, row.occurred_at, terms, now)


def _do(connection: Connection, word: Word, said_at: datetime, terms: AccountTerms, now: datetime) -> str | None:
    match word:
        case LimitTold():
            return _take_over(connection, word, said_at, terms, now)
        case Trouble():
            return _stop(connection, word, said_at, now)
        case TemplateTrouble():
            return _pause_campaigns(connection, word, said_at, now)
        case TemplateIsWell():
            return _resume_campaigns(connection, word.template, said_at, now) if terms.resumes_unpaused else None


def _is_overtaken(connection: Connection, row: Row) -> bool:
    """Whether a later word about the same was heard already, acted on or about to be."""
    if not row.subject:
        return False
    event = account_events.c
    newest = connection.execute(select(func.max(event.occurred_at)).where(event.subject == row.subject)).scalar_one()
    return newest > row.occurred_at


def _take_over(
    connection: Connection, word: LimitTold, said_at: datetime, terms: AccountTerms, now: datetime
) -> str | None:
    told = MessagingLimit.read(word.tier)
    if told is None or told.people is None or _is_less_by_a_person(connection, told.people, said_at):
        return None
    taken = take_over_limit(
        connection,
        sender_id(connection),
        told.people,
        terms.limit_ceiling,
        now,
        f"{FROM_META}{told.name}",
        setting=terms.limit_setting,
    )
    return None if taken is None else f"Meta says {told.name}: {taken.people} people may be reached in 24 hours now."


def _is_less_by_a_person(connection: Connection, people: int, said_at: datetime) -> bool:
    """Whether a person or the settings have said less than Meta, and later."""
    limit = sender_limits.c
    less = select(limit.id).where(
        limit.effective_from > said_at, limit.people_per_24_hours < people, ~limit.source.startswith(FROM_META)
    )
    return connection.execute(less.limit(1)).first() is not None


def _stop(connection: Connection, word: Trouble, said_at: datetime, now: datetime) -> str | None:
    resumed_at = connection.execute(select(func.max(senders.c.resumed_at))).scalar_one()
    if resumed_at is not None and said_at < resumed_at:
        return None
    reason = f"{word.reason} Then `campaign sender resume`."
    stop_sender(connection, reason, actor=META, now=now)
    return f"The sender is stopped: {reason}"


def _pause_campaigns(connection: Connection, word: TemplateTrouble, said_at: datetime, now: datetime) -> str | None:
    concerned = [row for row in _campaigns_with(connection, word.template) if not _has_seen_to_it(row, said_at)]
    for row in concerned:
        reason = f"{word.reason} Then `campaign resume {row.slug}`."
        pause_for(connection, row.id, word.cause, reason, actor=META, now=now, since=said_at)
    slugs = ", ".join(row.slug for row in concerned)
    return f"Paused: {slugs}. {word.reason}" if concerned else None


def _has_seen_to_it(row: Row, said_at: datetime) -> bool:
    """Whether a person has resumed a campaign after Meta said something about its template."""
    return row.resumed_at is not None and row.resumed_by != META and said_at < row.resumed_at


def _resume_campaigns(connection: Connection, template: Template, said_at: datetime, now: datetime) -> str | None:
    resumed = [
        row.slug
        for row in _campaigns_with(connection, template)
        if resume_unpaused(connection, row.id, said_at=said_at, actor=META, now=now)
    ]
    return f"The template {template.name} is unpaused, and goes on: {', '.join(resumed)}." if resumed else None


def _campaigns_with(connection: Connection, template: Template) -> list[Row]:
    campaign = marketing_campaigns.c
    rows = connection.execute(
        select(*campaign["id", "slug", "resumed_at", "resumed_by", "template_language"])
        .where(
            campaign.template_name == template.name,
            campaign.status.in_((CampaignStatus.ACTIVE, CampaignStatus.PAUSED)),
        )
        .order_by(campaign.id)
    ).all()
    # A webhook without a language is about all of them.
    return [row for row in rows if template.language in ("", row.template_language)]
