"""Asset checks: what was expected, and what the stored rows say.

Add here a check that people should see beside an asset. Checks are for people: the guards themselves are constraints of
the ledger and rules of `sending`, which hold whether or not a check is run.
Keep out the questions put to the rows: `sending.proof` of a batch, `delivery.standing` of the present state. Keep out
`promises_kept`, which the asset `proof` answers from its own reading.
"""

import warnings
from collections.abc import Callable, Sequence
from datetime import date
from typing import Final

import dagster as dg

from campaign_pipeline.campaigns.figures import batch_figures
from campaign_pipeline.delivery.impediments import impediments
from campaign_pipeline.delivery.standing import doubts_by_age, left_behind, silence
from campaign_pipeline.orchestration.assets.sending import DAILY_BATCH
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.recipients.identity import shared_in_campaigns
from campaign_pipeline.sending.proof import BatchProof, prove_batch

STANDING_CHECK_NAMES: Final = (
    "nobody_left_behind",
    "doubts_by_age",
    "statuses_come_in",
    "one_account_each",
    "nothing_waits_for_a_person",
)


def batch_checks(send_dates: dg.DailyPartitionsDefinition) -> Sequence[dg.AssetChecksDefinition]:
    """The checks of a date's batch, run with it; each date keeps its own result.

    Args:
        send_dates: The partitions, as of the batch itself.
    """
    with warnings.catch_warnings():
        # Dagster calls partitions of checks a preview; `requirements.lock` holds the version, and a test what is kept.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            _batch_check(
                send_dates,
                "nobody_twice",
                "Nobody of the batch has two attempts that may both have been accepted.",
                lambda proof: proof.nobody_twice,
                lambda proof: {"people": proof.people, "reached_twice": proof.reached_twice},
            ),
            _batch_check(
                send_dates,
                "within_limits",
                "The batch is no larger than it was taken, and each call was admitted within its 24-hour limit.",
                lambda proof: proof.within_limits,
                lambda proof: {"people": proof.people, "size": proof.size, "beyond_limit": proof.beyond_limit},
            ),
            _batch_check(
                send_dates,
                "states_sum",
                "Everyone who was taken is in exactly one state, or has moved on to a later date.",
                lambda proof: proof.sums,
                lambda proof: {
                    "size": proof.size,
                    "people_in_states": proof.states_sum,
                    "moved_on": proof.moved_on,
                },
            ),
            _nobody_in_doubt(send_dates),
        ]


def _nobody_in_doubt(send_dates: dg.DailyPartitionsDefinition) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=DAILY_BATCH,
        partitions_def=send_dates,
        description="Nobody of the batch is in doubt: no answer was lost, or a status has told since.",
    )
    def nobody_in_doubt(
        context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> dg.AssetCheckResult:
        """A batch with doubts is finished all the same; they are settled by statuses, or by a person."""
        send_date = _date_of(context)
        with pipeline.ledger.read() as connection:
            in_doubt = batch_figures(connection, send_date).in_doubt
        return dg.AssetCheckResult(
            passed=in_doubt == 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"expected": 0, "in_doubt": in_doubt, "send_date": str(send_date)},
        )

    return nobody_in_doubt


def _batch_check(
    send_dates: dg.DailyPartitionsDefinition,
    name: str,
    description: str,
    holds: Callable[[BatchProof], bool],
    found: Callable[[BatchProof], dict[str, int]],
) -> dg.AssetChecksDefinition:
    @dg.asset_check(name=name, asset=DAILY_BATCH, partitions_def=send_dates, description=description)
    def check(context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
        send_date = _date_of(context)
        with pipeline.ledger.read() as connection:
            proof = prove_batch(connection, send_date)
        if proof is None:
            return dg.AssetCheckResult(passed=True, metadata={"found": "no batch was taken"})
        return dg.AssetCheckResult(
            passed=holds(proof),
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"expected": description, "send_date": str(send_date), **found(proof)},
        )

    return check


def _date_of(context: dg.AssetCheckExecutionContext) -> date:
    if not context.has_partition_key:
        # Dagster takes no result for a batch without one, and says so in words about partition key ranges.
        raise dg.Failure(
            "This check is asked of one send date: materialize that date. A finished one sends nothing again.",
            allow_retries=False,
        )
    return date.fromisoformat(context.partition_key)


@dg.asset_check(
    asset="delivery_statuses",
    name=STANDING_CHECK_NAMES[0],
    description="Nobody is still claimed or being attempted in a batch that was taken more than a day ago.",
)
def nobody_left_behind(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
    """Whoever is left in an old batch waits for nothing: the next day's batch should have taken them first."""
    with pipeline.ledger.read() as connection:
        people = left_behind(connection, pipeline.now())
    return dg.AssetCheckResult(
        passed=people == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"expected": 0, "people": people, "what_to_do": "materialize today's date, or the date of the batch"},
    )


@dg.asset_check(
    asset="delivery_statuses",
    name=STANDING_CHECK_NAMES[1],
    description="Nobody has been in doubt for more than a day: by then a status has usually settled it.",
)
def doubts(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
    """A doubt is settled by a status webhook; one that stays is for a person to look at."""
    with pipeline.ledger.read() as connection:
        found = doubts_by_age(connection, pipeline.now())
    return dg.AssetCheckResult(
        passed=found.over_a_day == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "expected": 0,
            "in_doubt": found.people,
            "for_over_a_day": found.over_a_day,
            "for_over_a_week": found.over_a_week,
        },
    )


@dg.asset_check(
    asset="delivery_statuses",
    name=STANDING_CHECK_NAMES[2],
    description="While messages are out, statuses of them come in within the hour.",
)
def statuses_come_in(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
    """Silence means that whoever receives the webhooks has stopped writing files."""
    now = pipeline.now()
    with pipeline.ledger.read() as connection:
        found = silence(connection, now)
    return dg.AssetCheckResult(
        passed=not found.is_strange(now),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "expected": "a status within the hour",
            "messages_out_without_a_word": found.out,
            "oldest_accepted_at": str(found.oldest_accepted_at or "none"),
            "last_heard_at": str(found.last_heard_at or "never"),
        },
    )


@dg.asset_check(
    asset="delivery_statuses",
    name=STANDING_CHECK_NAMES[3],
    description="No two people of one campaign have turned out to share one WhatsApp account.",
)
def one_account_each(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
    """One person under two numbers gets a message twice, where it is found out only after both were sent to."""
    with pipeline.ledger.read() as connection:
        found = shared_in_campaigns(connection, pipeline.now())
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "expected": 0,
            "skipped": sum(each.skipped for each in found),
            "pairs_both_sent_to": sum(each.reached for each in found),
            "campaigns": ", ".join(each.campaign for each in found) or "none",
            "what_to_do": "look in the lists for one person under two numbers",
        },
    )


@dg.asset_check(
    asset="delivery_statuses",
    name=STANDING_CHECK_NAMES[4],
    description=(
        "Nothing waits for a person: no stopped sender, no held country, no campaign paused by what WhatsApp says, and "
        "(warning) no error that nobody knows."
    ),
)
def nothing_waits_for_a_person(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
    """Whoever looks at the desk in the morning has to see why fewer messages go out than were planned."""
    with pipeline.ledger.read() as connection:
        found = impediments(connection, pipeline.now())
    # Nobody can do anything about an error that is over but look it up.
    only_told = all(each.kind == "unknown_error" for each in found)
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN if only_told else dg.AssetCheckSeverity.ERROR,
        metadata={
            "expected": "nothing",
            "found": dg.MetadataValue.md("\n".join(f"- {each.sentence}" for each in found) or "nothing"),
        },
    )


def standing_checks() -> Sequence[dg.AssetChecksDefinition]:
    """The checks of the present state, run every hour."""
    return [nobody_left_behind, doubts, statuses_come_in, one_account_each, nothing_waits_for_a_person]
