"""The promises that the stored rows can show to be kept, as data: what holds, and the query for the rows that break it.

Add here a promise with its query (`offences`), and a test that forges the rows that break it.
Keep out how they are asked and reported: `proof`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Select

from campaign_pipeline.sending import offences


class PartOf(StrEnum):
    """The promises of the whole, in the words of the design."""

    NEVER_TWICE = "never twice"
    NEVER_OVER_THE_LIMIT = "never over the limit"
    NOBODY_FORGOTTEN = "nobody forgotten"
    THE_TRUTH = "the truth about delivery"


class Rows(StrEnum):
    """Whose ids the rows that break a promise are named by."""

    CAMPAIGNS = "campaigns"
    BATCHES = "batches"
    RECIPIENTS = "recipients"
    ATTEMPTS = "attempts"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that holds for every row, whatever happens.

    Attributes:
        name: What programs call it.
        part_of: The promise that it is a part of.
        sentence: What holds.
        rows: Whose ids those of the rows that break it are.
        offences: The query for them, of one campaign or of all.
        of_all: Whether it is about something that campaigns share, so that it is always asked of all.
    """

    name: str
    part_of: PartOf
    sentence: str
    rows: Rows
    offences: Callable[[int | None], Select]
    of_all: bool = False


PROMISES: Final = (
    Promise(
        "nobody_twice",
        PartOf.NEVER_TWICE,
        "Nobody has two attempts that may both have been accepted.",
        Rows.RECIPIENTS,
        offences.reached_twice,
    ),
    Promise(
        "repeats_were_ordered",
        PartOf.NEVER_TWICE,
        "Each attempt that was given up was given up by a person, whose word stands in the audit log.",
        Rows.ATTEMPTS,
        offences.given_up_by_nobody,
    ),
    Promise(
        "one_call_at_a_time",
        PartOf.NEVER_TWICE,
        "Nobody has two calls under way.",
        Rows.RECIPIENTS,
        offences.called_at_once,
    ),
    Promise(
        "one_message_per_attempt",
        PartOf.NEVER_TWICE,
        "The statuses of an attempt are all about the one message that it stands for.",
        Rows.ATTEMPTS,
        offences.several_messages,
    ),
    Promise(
        "one_place_per_person",
        PartOf.NEVER_TWICE,
        "Nobody is in a campaign twice.",
        Rows.RECIPIENTS,
        offences.in_campaign_twice,
    ),
    Promise(
        "attempts_of_their_person",
        PartOf.NEVER_TWICE,
        "Each attempt counts for the person of its recipient.",
        Rows.ATTEMPTS,
        offences.of_another_person,
    ),
    Promise(
        "admitted_within_limit",
        PartOf.NEVER_OVER_THE_LIMIT,
        "No attempt was admitted past the limit that is stored on it.",
        Rows.ATTEMPTS,
        offences.beyond_stored_limit,
    ),
    Promise(
        "states_sum",
        PartOf.NOBODY_FORGOTTEN,
        "Everyone whom a campaign's lists have added is in exactly one state.",
        Rows.CAMPAIGNS,
        offences.not_summing_to_audience,
    ),
    Promise(
        "batches_sum",
        PartOf.NOBODY_FORGOTTEN,
        "Everyone who was taken for a batch is in it still, or has moved on.",
        Rows.BATCHES,
        offences.badly_summed_batches,
        of_all=True,
    ),
    Promise(
        "nobody_in_closed_batch",
        PartOf.NOBODY_FORGOTTEN,
        "Nobody waits in a batch that is closed.",
        Rows.RECIPIENTS,
        offences.left_in_closed_batch,
    ),
    Promise(
        "ended_is_settled",
        PartOf.NOBODY_FORGOTTEN,
        "Nobody is unsettled in a completed campaign, and nobody waits in a cancelled one.",
        Rows.RECIPIENTS,
        offences.left_in_ended_campaign,
    ),
    Promise(
        "states_are_the_fold",
        PartOf.THE_TRUTH,
        "Each recipient is in the state that the attempts amount to.",
        Rows.RECIPIENTS,
        offences.not_the_fold,
    ),
    Promise(
        "evidence_is_noted",
        PartOf.THE_TRUTH,
        "On each attempt stand the earliest times that its statuses tell, and no others.",
        Rows.ATTEMPTS,
        offences.noted_otherwise,
    ),
    Promise(
        "statuses_are_matched",
        PartOf.THE_TRUTH,
        "Each status that names an attempt or a message of ours was brought onto it.",
        Rows.EVENTS,
        offences.unmatched_though_ours,
    ),
    Promise(
        "accepted_has_its_record",
        PartOf.THE_TRUTH,
        "Each accepted message has its batch, its run, its attempt and the time of its acceptance.",
        Rows.RECIPIENTS,
        offences.without_record,
    ),
)
"""All but the moving window, which `window_proof` counts anew."""
