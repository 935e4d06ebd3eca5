"""The campaigns that there are: what is chosen about one, and finding it by slug, name or id.

Add here something that a person chooses about a campaign, with what it may be.
Keep out what a campaign goes through: `lifecycle`.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Row, func, literal, or_, select, tuple_

from campaign_pipeline.campaigns import templates
from campaign_pipeline.campaigns.errors import CampaignError, CampaignNotFoundError
from campaign_pipeline.campaigns.message_pattern import MessagePattern
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.campaigns.values import check_fixed_values
from campaign_pipeline.ledger.schema import marketing_campaigns
from campaign_pipeline.ledger.states import CampaignStatus, PauseCause
from campaign_pipeline.whatsapp.templates import Template

DEFAULT_DAILY_LIMIT: Final = 250
DEFAULT_LANGUAGE: Final = "en_US"

SENDER_LIMIT: Final = "sender"
"""How people write the daily limit of a campaign that takes as many on a date as the sender may reach."""

LONGEST_NAME: Final = 200
LONGEST_SLUG: Final = 100
LARGEST_NUMBER: Final = 1_000_000_000
"""What the ledger's columns hold on every database."""

_LONGEST_ID: Final = 18
"""Digits; more could be too large for the column."""

_TEMPLATE_NAME = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign as it stands in the ledger.

    Its `template` is what Meta showed of it at `template_checked_at`; None when nobody has looked yet.
    """

    id: int
    slug: str
    name: str
    template_name: str
    template_language: str
    parameters: tuple[TemplateParameter, ...]
    daily_send_limit: int
    priority: int
    status: CampaignStatus
    status_reason: str | None
    paused_by: PauseCause | None
    paused_at: datetime | None
    created_at: datetime
    activated_at: datetime | None
    finished_at: datetime | None
    follows_sender_limit: bool = False
    template: Template | None = None
    template_checked_at: datetime | None = None

    @property
    def daily_limit(self) -> int | str:
        """People of it that one date may take; `SENDER_LIMIT` when these are as many as the sender may reach."""
        return SENDER_LIMIT if self.follows_sender_limit else self.daily_send_limit

    @property
    def pattern(self) -> MessagePattern:
        """What its messages are made after."""
        return MessagePattern(self.template_name, self.template_language, self.parameters, self.template)


@dataclass(frozen=True, slots=True)
class CampaignDraft:
    """What a person chooses about a campaign.

    Attributes:
        name: As people call it; the slug is made from it.
        template_name: Meta's name of the template: lower-case letters, digits and underscores, at most 512.
        template_language: As Meta spells it: ``en_US``, ``pt_BR``, ``de``.
        parameters: What fills the template.
        daily_send_limit: People of this campaign that one date may take.
        priority: Who goes first when campaigns share the sender; a higher number first.
        follows_sender_limit: Whether a date takes as many as the sender's limit lets it; `daily_send_limit` is then
            left aside.
    """

    name: str
    template_name: str
    template_language: str = DEFAULT_LANGUAGE
    parameters: Sequence[TemplateParameter] = ()
    daily_send_limit: int = DEFAULT_DAILY_LIMIT
    priority: int = 0
    follows_sender_limit: bool = False

    def checked(self) -> "CampaignDraft":
        """The same draft, once everything in it can be used.

        Raises:
            CampaignError: Something cannot, and the message says what and how it should be.
        """
        if not _TEMPLATE_NAME.fullmatch(self.template_name):
            msg = (
                f"{self.template_name!r} is no template name: Meta's have lower-case letters, digits and underscores, "
                "at most 512."
            )
            raise CampaignError(msg)
        if not _LANGUAGE.fullmatch(self.template_language):
            msg = f"{self.template_language!r} is no template language: write it as Meta does, as in en_US or de."
            raise CampaignError(msg)
        if len(self.name) > LONGEST_NAME:
            msg = f"A campaign's name has at most {LONGEST_NAME} characters, not {len(self.name)}."
            raise CampaignError(msg)
        if not 1 <= self.daily_send_limit <= LARGEST_NUMBER:
            msg = f"The daily limit has to be at least 1, not {self.daily_send_limit}."
            if self.daily_send_limit > LARGEST_NUMBER:
                msg = f"The daily limit has to be at most {LARGEST_NUMBER:,}, not {self.daily_send_limit:,}."
            raise CampaignError(msg)
        if abs(self.priority) > LARGEST_NUMBER:
            msg = f"The priority has to be from -{LARGEST_NUMBER:,} to {LARGEST_NUMBER:,}, not {self.priority:,}."
            raise CampaignError(msg)
        templates.check_parameters(self.parameters)
        check_fixed_values(
            MessagePattern(self.template_name, self.template_language, tuple(self.parameters), template=None)
        )
        return self


@dataclass(frozen=True, slots=True)
class CampaignChange:
    """What to change of a campaign; None leaves it as it is."""

    name: str | None = None
    template_name: str | None = None
    template_language: str | None = None
    parameters: Sequence[TemplateParameter] | None = None
    daily_send_limit: int | None = None
    priority: int | None = None
    follows_sender_limit: bool | None = None

    @property
    def given(self) -> dict[str, object]:
        """The changes by name."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


class CampaignSort(StrEnum):
    """What campaigns can be sorted by."""

    ID = "id"
    NAME = "name"
    STATUS = "status"
    PRIORITY = "priority"
    CREATED_AT = "created_at"


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """Which campaigns are wanted.

    Attributes:
        size: How many at most.
        sort: By what; campaigns that are equal in it stand in the order in which they were made.
        descending: Whether the last comes first.
        status: Only those in this status.
        after: The id of the campaign before the first, and its value of what is sorted by; None begins.
    """

    size: int
    sort: CampaignSort = CampaignSort.ID
    descending: bool = False
    status: CampaignStatus | None = None
    after: tuple[int, int | str | datetime] | None = None


def slug_of(name: str) -> str:
    """The short name that a campaign goes by: ``Spring Sale`` → ``spring-sale``.

    Raises:
        CampaignError: Nothing is left of the name, or what is left could be taken for an id.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:LONGEST_SLUG].rstrip("-")
    if not slug or slug.isdigit():
        msg = f"A campaign's name needs a letter from a to z, so that it can be told from an id: {name!r} has none."
        raise CampaignError(msg)
    return slug


def get(connection: Connection, campaign_id: int) -> Campaign:
    """The campaign with an id.

    Raises:
        CampaignNotFoundError: There is none.
    """
    return find(connection, campaign_id)


def find(connection: Connection, reference: str | int) -> Campaign:
    """The campaign with a slug, a name or an id.

    Raises:
        CampaignNotFoundError: There is none.
    """
    row = find_row(connection, reference)
    if row is None:
        msg = f"There is no campaign {str(reference)!r}: `campaign list` shows those that there are."
        raise CampaignNotFoundError(msg)
    return _campaign(row)


def list_all(connection: Connection) -> list[Campaign]:
    """Every campaign, in the order in which they were made."""
    return [
        _campaign(row) for row in connection.execute(select(marketing_campaigns).order_by(marketing_campaigns.c.id))
    ]


def shown_lately(connection: Connection, ended_after: datetime, most: int) -> list[Campaign]:
    """The campaigns that somebody watches, the newest first: those that send or are paused, or have ended lately.

    Args:
        connection: A transaction.
        ended_after: Since when an ended one has to have done so, UTC.
        most: How many at most.
    """
    columns = marketing_campaigns.c
    watched = or_(columns.status.in_((CampaignStatus.ACTIVE, CampaignStatus.PAUSED)), columns.finished_at > ended_after)
    rows = connection.execute(select(marketing_campaigns).where(watched).order_by(columns.id.desc()).limit(most))
    return [_campaign(row) for row in rows]


def count_by_status(connection: Connection) -> dict[CampaignStatus, int]:
    """How many campaigns there are of each status."""
    number = func.count().label("number")
    query = select(marketing_campaigns.c.status, number).group_by(marketing_campaigns.c.status)
    found = {row.status: row.number for row in connection.execute(query)}
    return {status: found.get(status, 0) for status in CampaignStatus}


def list_page(connection: Connection, wanted: CampaignPage) -> list[Campaign]:
    """Some campaigns, in the order asked for; one more than the page holds tells that there is another page."""
    column = marketing_campaigns.c[wanted.sort]
    query = select(marketing_campaigns)
    if wanted.status is not None:
        query = query.where(marketing_campaigns.c.status == wanted.status)
    if wanted.after is not None:
        last_id, last_value = wanted.after
        values = tuple_(column, marketing_campaigns.c.id)
        last = tuple_(literal(last_value, column.type), literal(last_id, marketing_campaigns.c.id.type))
        query = query.where(values < last if wanted.descending else values > last)
    order = (column, marketing_campaigns.c.id)
    query = query.order_by(*(each.desc() if wanted.descending else each for each in order)).limit(wanted.size)
    return [_campaign(row) for row in connection.execute(query)]


def find_row(connection: Connection, reference: str | int) -> Row | None:
    """The row of the campaign with a slug, a name or an id; None when there is none."""
    text = str(reference)
    if text.isascii() and text.isdigit():
        if len(text) > _LONGEST_ID:
            return None
        condition = marketing_campaigns.c.id == int(text)
    else:
        try:
            condition = marketing_campaigns.c.slug == slug_of(text)
        except CampaignError:
            # What cannot be a campaign's name is nobody's.
            return None
    return connection.execute(select(marketing_campaigns).where(condition)).one_or_none()


def as_columns(draft: CampaignDraft) -> dict[str, object]:
    """A draft as the columns of its row."""
    return {
        "name": draft.name,
        "template_name": draft.template_name,
        "template_language": draft.template_language,
        "template_parameters": templates.to_rows(draft.parameters),
        "daily_send_limit": draft.daily_send_limit,
        "priority": draft.priority,
        "follows_sender_limit": int(draft.follows_sender_limit),
    }


def draft_of(campaign: Campaign) -> CampaignDraft:
    """What was chosen about a campaign."""
    return CampaignDraft(
        campaign.name,
        campaign.template_name,
        campaign.template_language,
        campaign.parameters,
        campaign.daily_send_limit,
        campaign.priority,
        campaign.follows_sender_limit,
    )


def _campaign(row: Row) -> Campaign:
    return Campaign(
        id=row.id,
        slug=row.slug,
        name=row.name,
        template_name=row.template_name,
        template_language=row.template_language,
        parameters=templates.from_rows(row.template_parameters),
        daily_send_limit=row.daily_send_limit,
        priority=row.priority,
        status=CampaignStatus(row.status),
        status_reason=row.status_reason,
        paused_by=None if row.paused_by is None else PauseCause(row.paused_by),
        paused_at=row.paused_at,
        created_at=row.created_at,
        activated_at=row.activated_at,
        finished_at=row.finished_at,
        follows_sender_limit=bool(row.follows_sender_limit),
        template=None if row.template is None else Template.from_graph(row.template),
        template_checked_at=row.template_checked_at,
    )
