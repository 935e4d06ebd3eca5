"""Test sends: a campaign's message to people who are named, outside of its audience and inside the capacity.

Add here what concerns a message that somebody sends to try a template.
Keep out campaigns' own sending: `attempts` and `dispatch`. A test send is no attempt, and its status belongs to nobody.

It uses a place in the 24 hours through `external_usage`, which every admission counts: written under the sender's lock
before the call, dated ahead while the call is out, and taken back only when it was certainly not accepted.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from campaign_pipeline.campaigns.catalogue import Campaign
from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.campaigns.held_countries import held_regions
from campaign_pipeline.campaigns.journal import audit
from campaign_pipeline.campaigns.message_pattern import MessagePattern
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.campaigns.values import faults_in
from campaign_pipeline.delivery.consequences import Failure, hold_country_for, stop_sender_for, unsubscribe_for
from campaign_pipeline.delivery.folding import newest_time
from campaign_pipeline.ledger.conditions import IS_WAITING
from campaign_pipeline.ledger.engine import Ledger, durability_fault
from campaign_pipeline.ledger.locks import fold_alone, hold_senders
from campaign_pipeline.ledger.schema import (
    campaign_recipients,
    external_usage,
    senders,
    test_sends,
)
from campaign_pipeline.ledger.states import CERTAINLY_NOT_ACCEPTED, AttemptOutcome, RecipientState
from campaign_pipeline.recipients.identity import Account, account_of, members_of
from campaign_pipeline.recipients.phone_numbers import PhoneNumber, mask_phone, region_of
from campaign_pipeline.sending import capacity
from campaign_pipeline.sending.errors import CannotSendError, another_cloud_api, forgetful_ledger
from campaign_pipeline.sending.limits import FROM_TEST_SENDS, limit_in_force, stamped
from campaign_pipeline.sending.outcomes import Reaction, Verdict, judge
from campaign_pipeline.whatsapp.client import CONNECT_TIMEOUT, READ_TIMEOUT, Answer, MessageClient
from campaign_pipeline.whatsapp.errors import Arrival, ErrorClass

_CALL_TAKES: Final = timedelta(seconds=2 * (CONNECT_TIMEOUT + READ_TIMEOUT))
"""Longer than a call can be out: by so much is its place dated ahead until it is answered."""


@dataclass(frozen=True, slots=True)
class TestSendTerms:
    """Under which terms test sends are made.

    Attributes:
        cloud_api: Where messages go, in one word: a host, or "simulator".
        limit_setting: People in 24 hours as the settings have it.
        by: Who sends.
    """

    __test__ = False

    cloud_api: str
    limit_setting: int
    by: str


@dataclass(frozen=True, slots=True)
class SentTest:
    """What became of one test send.

    Attributes:
        test_send_id: Its row, and what travelled with the message.
        phone: To whom, masked.
        outcome: What is known of the call.
        answer: What WhatsApp said.
        consequence: What a refusal means for more than this message, as a sentence or two; empty if nothing.
        ends_all: Whether nobody else can be reached until a person has looked at it.
    """

    test_send_id: str
    phone: str
    outcome: AttemptOutcome
    answer: Answer
    consequence: str = ""
    ends_all: bool = False

    @property
    def sentence(self) -> str:
        """What became of it, for the person who sent it."""
        return f"{self._fate} {self.consequence}".rstrip()

    @property
    def _fate(self) -> str:
        if self.outcome is AttemptOutcome.ACCEPTED:
            held = self.answer.message_status not in (None, "accepted")
            return f"{self.phone}: accepted by WhatsApp{f' ({self.answer.message_status})' if held else ''}."
        if self.outcome in CERTAINLY_NOT_ACCEPTED:
            code = f"error {self.answer.error_code}, " if self.answer.error_code is not None else ""
            return f"{self.phone}: not sent ({code}{self.answer.error_text or 'no reason given'})."
        return (
            f"{self.phone}: in doubt, nobody knows whether it arrives ({self.answer.error_text or 'no answer'}). Ask "
            "the person before you send it again."
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """The place in the window that a test send has taken."""

    test_send_id: str
    usage_id: int


def values_for_test(
    connection: Connection, campaign: Campaign, given: Mapping[str, str]
) -> tuple[MessagePattern, dict[str, str]]:
    """The pattern and the columns of a test: those of the audience's first person, and what is given for a parameter.

    Args:
        connection: Reads the ledger.
        campaign: Whose message it is.
        given: Texts by parameter name, which come before the audience's.

    Raises:
        CampaignError: There is no such parameter, or a value is missing or cannot be sent.
    """
    unknown = sorted(set(given) - {parameter.name for parameter in campaign.parameters})
    if unknown:
        has = ", ".join(parameter.name for parameter in campaign.parameters) or "none"
        msg = f"{campaign.slug} has no parameter {unknown[0]!r}; it has {has}."
        raise CampaignError(msg)
    parameters = tuple(
        TemplateParameter(each.name, fixed=given[each.name]) if each.name in given else each
        for each in campaign.parameters
    )
    pattern = replace(campaign.pattern, parameters=parameters)
    columns = _first_columns(connection, campaign.id)
    faults = faults_in(pattern, columns)
    if faults:
        fault = faults[0]
        msg = f"{fault.parameter} cannot be filled: {fault.source} {fault.detail}. Give --value {fault.parameter}=TEXT."
        raise CampaignError(msg)
    return pattern, columns


def send_test(
    ledger: Ledger,
    client: MessageClient,
    campaign: Campaign,
    message_to: PhoneNumber,
    values: tuple[MessagePattern, Mapping[str, str]],
    terms: TestSendTerms,
    clock: Callable[[], datetime],
) -> SentTest:
    """Sends a campaign's message to one person who is named.

    Args:
        ledger: Where it is written down before the call.
        client: Makes the call, once.
        campaign: Whose message it is, a draft's too.
        message_to: The person.
        values: See `values_for_test`.
        terms: Who sends, and where to.
        clock: Gives the moment, UTC.

    Raises:
        CannotSendError: The sender is stopped, its limit is used up, the person has unsubscribed, is in the audience or
            in a held country, or the ledger is another Cloud API's or could forget. Nothing was sent.
    """
    pattern, columns = values
    with ledger.write() as connection:
        place = _admit(connection, campaign, message_to, terms, clock())
    message = pattern.message(message_to.e164, columns, place.test_send_id)
    answer = client.send(message)
    verdict = judge(answer)
    with ledger.write() as connection:
        now = clock()
        failure = _failure(place, answer, verdict, now)
        if failure is not None:
            hold_senders(connection)
            fold_alone(connection)
        _settle(connection, place, answer, verdict.outcome, now)
        consequence = "" if failure is None else _act(connection, failure, message_to, now)
    ends_all = verdict.reaction is Reaction.STOP
    return SentTest(
        place.test_send_id, mask_phone(message_to.e164), verdict.outcome, answer, consequence, ends_all=ends_all
    )


def _admit(connection: Connection, campaign: Campaign, who: PhoneNumber, terms: TestSendTerms, now: datetime) -> _Place:
    """Takes a place in the window and writes the test send down; the caller commits, and only then makes the call.

    As with attempts, the sender's row is locked first and the window counted in a later statement.
    """
    _refuse_without_durability(connection)
    sender = capacity.sender_id(connection)
    stamp = _locked_stamp(connection, sender, now)
    bound_to = capacity.bind(connection, sender, terms.cloud_api)
    if bound_to is not None:
        raise another_cloud_api(bound_to, terms.cloud_api)
    _refuse_held_country(connection, who)
    account = account_of(connection, who, now)
    _refuse_unsubscribed(account, who)
    _refuse_audience(connection, campaign, account, who)
    limit = limit_in_force(connection, terms.limit_setting, stamp)
    if not capacity.capacity_at(connection, sender, limit, stamp).free:
        msg = f"The limit of {limit} people in 24 hours is used up, and a test takes a place like any message."
        raise CannotSendError(msg, again_at=capacity.next_freed(connection, sender, stamp))
    usage_id = connection.execute(
        insert(external_usage)
        .values(sender_id=sender, people=1, used_at=stamp + _CALL_TAKES, source=FROM_TEST_SENDS)
        .returning(external_usage.c.id)
    ).scalar_one()
    test_send_id = str(uuid.uuid4())
    connection.execute(
        insert(test_sends).values(
            id=test_send_id,
            campaign_id=campaign.id,
            sender_id=sender,
            template_name=campaign.template_name,
            template_language=campaign.template_language,
            template_version=None if campaign.template is None else campaign.template.version,
            person_key=who.person_key,
            phone=who.e164,
            by=terms.by,
            at=stamp,
            outcome=AttemptOutcome.CALLING,
        )
    )
    details = {"test_send": test_send_id, "phone": mask_phone(who.e164)}
    audit(connection, "test_sent", campaign.slug, actor=terms.by, now=now, details=details)
    return _Place(test_send_id, usage_id)


def _locked_stamp(connection: Connection, sender: int, now: datetime) -> datetime:
    """Locks the sender's row; gives the later of the clock and the newest stamp, which is this one from now on.

    Raises:
        CannotSendError: The sender was stopped.
    """
    hold_senders(connection)
    row = connection.execute(select(senders.c.stopped_at, senders.c.stop_reason).where(senders.c.id == sender)).one()
    if row.stopped_at is not None:
        raise CannotSendError(row.stop_reason or "The sender was stopped.")
    return stamped(connection, sender, now)


def _refuse_without_durability(connection: Connection) -> None:
    fault = durability_fault(connection)
    if fault is not None:
        raise forgetful_ledger(fault)


def _refuse_held_country(connection: Connection, who: PhoneNumber) -> None:
    region = region_of(who.e164)
    if region in held_regions(connection):
        msg = (
            f"{region} is held, and nobody there gets a message: `campaign sender release {region}` once it is mended."
        )
        raise CannotSendError(msg)


def _refuse_unsubscribed(account: Account, who: PhoneNumber) -> None:
    if account.unsubscribed:
        msg = (
            f"{mask_phone(who.e164)} has unsubscribed, with this number or another one, and gets no test either: "
            "`campaign subscribe` that number first, if the person wants messages again."
        )
        raise CannotSendError(msg)


def _refuse_audience(connection: Connection, campaign: Campaign, account: Account, who: PhoneNumber) -> None:
    """Nobody of the audience gets a test: the campaign's own message would be the second, on whichever number."""
    in_it = [
        member
        for member in members_of(connection, campaign.id, account)
        if member.is_double or member.state != RecipientState.SKIPPED
    ]
    if in_it:
        by_number = "" if any(member.person_key == who.person_key for member in in_it) else " with another number"
        msg = (
            f"{mask_phone(who.e164)} is in the audience of {campaign.slug}{by_number}, and would get the message "
            "twice: try it on somebody else, or `campaign remove` the person first."
        )
        raise CannotSendError(msg)


def _settle(connection: Connection, place: _Place, answer: Answer, outcome: AttemptOutcome, now: datetime) -> None:
    """Writes down what came of the call; its place counts from the answer on, or is free again."""
    stamp = newest_time(connection, now)
    connection.execute(
        update(test_sends)
        .where(test_sends.c.id == place.test_send_id)
        .values(
            answered_at=stamp,
            outcome=outcome,
            http_status=answer.http_status,
            error_code=answer.error_code,
            error_text=answer.error_text,
            wamid=answer.wamid,
            message_status=answer.message_status,
        )
    )
    usage = external_usage.c.id == place.usage_id
    if outcome in CERTAINLY_NOT_ACCEPTED:
        connection.execute(delete(external_usage).where(usage))
    else:
        connection.execute(update(external_usage).where(usage).values(used_at=stamp))


def _failure(place: _Place, answer: Answer, verdict: Verdict, now: datetime) -> Failure | None:
    """What the answer says of more than the call; None if nothing."""
    if verdict.error is None:
        return None
    error_class = verdict.error.class_in(Arrival.ANSWER)
    return Failure(place.test_send_id, verdict.error, error_class, answer.error_text or "", now)


def _act(connection: Connection, failure: Failure, who: PhoneNumber, now: datetime) -> str:
    """Does what a refusal means at large, as for any other message; gives that in words.

    A campaign is not paused by a test, whose values may be other ones than its own: its own messages do that.
    """
    match failure.error_class:
        case ErrorClass.UNSUBSCRIBED:
            unsubscribe_for(connection, [(who, failure)], now)
            return "The person is unsubscribed now."
        case ErrorClass.COUNTRY:
            sender = capacity.sender_id(connection)
            return hold_country_for(connection, sender, region_of(who.e164), failure, now)
        case ErrorClass.ACCOUNT:
            return f"The sender is stopped: {stop_sender_for(connection, failure, now)}"
        case ErrorClass.CAMPAIGN:
            return f"The campaign's own messages can be refused like this: {failure.in_words()}"
    return ""


def _first_columns(connection: Connection, campaign_id: int) -> dict[str, str]:
    """What the list says of the person who waits first; nothing when nobody does."""
    first = connection.execute(
        select(campaign_recipients.c.parameters)
        .where(campaign_recipients.c.campaign_id == campaign_id, IS_WAITING)
        .order_by(campaign_recipients.c.position)
        .limit(1)
    ).scalar_one_or_none()
    return dict(first or {})
