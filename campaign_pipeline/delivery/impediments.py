"""What keeps people from being reached until a person has seen to it, each as a sentence with what to do.

Add here something that only a person ends, whoever has brought it about.
Keep out what is merely late or in doubt (`standing`), and campaigns that a person has paused: those are listed as such.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, or_, select

from campaign_pipeline.campaigns.held_countries import list_held, waiting_in_held
from campaign_pipeline.campaigns.lifecycle import PAUSED_BY_A_CAUSE
from campaign_pipeline.ledger.schema import marketing_campaigns, send_attempts, senders
from campaign_pipeline.whatsapp.errors import ErrorClass, look_up

UNEXPLAINED_FOR: Final = timedelta(days=7)
"""How long a failure with an unknown code is told of."""


@dataclass(frozen=True, slots=True)
class Impediment:
    """One reason why people are not reached.

    Attributes:
        kind: For programs: sender_stopped, country_held, campaign_held_up or unknown_error.
        sentence: For people, with what to do.
        campaign: Its slug, if it is about one.
        people: How many it keeps waiting or has failed, if that is known.
    """

    kind: str
    sentence: str
    campaign: str | None = None
    people: int | None = None


def impediments(connection: Connection, now: datetime) -> list[Impediment]:
    """Everything that waits for a person, the gravest first; what nobody can explain is told of for a week."""
    return [
        *_stopped_senders(connection),
        *_held_countries(connection),
        *_held_up_campaigns(connection),
        *_unknown_errors(connection, now),
    ]


def _stopped_senders(connection: Connection) -> list[Impediment]:
    reasons = connection.execute(select(senders.c.stop_reason).where(senders.c.stopped_at.is_not(None))).scalars()
    return [
        Impediment("sender_stopped", f"The sender is stopped: {reason or 'no reason was kept'}") for reason in reasons
    ]


def _held_countries(connection: Connection) -> list[Impediment]:
    waiting = waiting_in_held(connection)
    sentence = "{0} is held, and {1} people there wait: {2} `campaign sender release {0}` lets them be sent to."
    return [
        Impediment(
            "country_held",
            sentence.format(each.region, waiting.get(each.region, 0), _ended(each.reason)),
            people=waiting.get(each.region, 0),
        )
        for each in list_held(connection)
    ]


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(".") else f"{sentence}."


def _held_up_campaigns(connection: Connection) -> list[Impediment]:
    rows = connection.execute(
        select(marketing_campaigns.c.slug, marketing_campaigns.c.status_reason)
        .where(PAUSED_BY_A_CAUSE)
        .order_by(marketing_campaigns.c.id)
    )
    return [
        Impediment("campaign_held_up", f"{row.slug} is paused: {row.status_reason}", campaign=row.slug) for row in rows
    ]


def _unknown_errors(connection: Connection, now: datetime) -> list[Impediment]:
    attempt = send_attempts.c
    code = func.coalesce(attempt.failure_code, attempt.error_code, 0)
    rows = connection.execute(
        select(code.label("code"), func.count().label("people"))
        .where(
            attempt.answered_at > now - UNEXPLAINED_FOR,
            or_(attempt.refused_person == 1, attempt.failed_at.is_not(None)),
        )
        .group_by(code)
    )
    people = Counter({row.code: row.people for row in rows if _is_unknown(row.code)})
    return [
        Impediment(
            "unknown_error",
            f"{number} people failed with error {each}, which nobody here knows: look it up in Meta's list. They are "
            "not tried again.",
            people=number,
        )
        for each, number in sorted(people.items())
    ]


def _is_unknown(code: int) -> bool:
    # 0 is an error whose code could not be read.
    return code == 0 or look_up(code).error_class is ErrorClass.UNKNOWN
