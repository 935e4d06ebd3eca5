"""The job `rebuild_delivery`: what `campaign rebuild` does, from the launchpad of the web UI.

Keep out the rebuilding itself: `delivery.rebuild`. No asset is made here: a row of the outbox tells which dates have
been derived again, and the ledger sensor shows them.
"""

import dagster as dg
from pydantic import Field

from campaign_pipeline.delivery import rebuild
from campaign_pipeline.orchestration.resources import Pipeline


class RebuildConfig(dg.Config):
    """From what to rebuild."""

    from_archive: bool = Field(
        default=False, description="First put back what the store lacks of the archived status files."
    )
    only_check: bool = Field(default=False, description="Change nothing: say whether it would come out the same.")


@dg.op(description="Derives states, figures and analytics again from the stored status events, and compares.")
def derive_again(context: dg.OpExecutionContext, config: RebuildConfig, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Rebuilds or checks, and shows both digests.

    Raises:
        dg.Failure: A check has found that something else would come out.
    """
    archive = pipeline.settings.status_folders.archive if config.from_archive else None
    shares: set[tuple[str, int]] = set()

    def on_progress(what: str, done: int, in_all: int) -> None:
        share = 10 * done // max(1, in_all)
        if (what, share) not in shares:
            shares.add((what, share))
            context.log.info(f"{what}: {done} of {in_all}")

    if config.only_check:
        report = rebuild.check(pipeline.ledger, archive, pipeline.now, on_progress=on_progress)
    else:
        report = rebuild.rebuild(pipeline.ledger, archive, pipeline.now, actor="dagster", on_progress=on_progress)
    details = report.as_details()
    facts = {**details, "differs_in": ", ".join(report.differs_in) or "nothing"}
    context.add_output_metadata({name: value for name, value in facts.items() if value is not None})
    if report.agrees:
        context.log.info("It came out the same.")
        return
    told = f"It came out another way in: {', '.join(report.differs_in)}."
    if config.only_check:
        raise dg.Failure(f"{told} A rebuild brings it right.", allow_retries=False)
    context.log.warning(f"{told} What stands there now is what follows from the evidence.")


@dg.job(
    name="rebuild_delivery",
    description=(
        "Throws away what was derived from statuses and derives it again from the stored events, or from the archive: "
        "the same to the byte, with both digests shown on the run. Sends nothing, and draws no consequence again."
    ),
    executor_def=dg.in_process_executor,
    tags={"dagster/priority": "10"},
)
def rebuild_delivery() -> None:
    """Replays what was heard."""
    derive_again()
