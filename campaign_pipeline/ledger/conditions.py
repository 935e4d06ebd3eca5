"""The conditions of partial indexes, for the queries that are meant to use these.

Add here a condition together with its index in `schema`.
Keep out conditions that no index has: those stand in the query.

Their values stand in the statement itself. SQLite recognises a list of values only so; PostgreSQL, once it keeps one
plan of a statement for all values to come, cannot know that they will be those of the index.
"""

from typing import Final

from sqlalchemy import ColumnElement, and_, literal, literal_column

from campaign_pipeline.ledger.schema import (
    account_events,
    campaign_recipients,
    delivery_events,
    inbound_words,
    send_attempts,
)
from campaign_pipeline.ledger.states import UNSETTLED, AttemptOutcome, RecipientState


def _written_out(state: RecipientState | AttemptOutcome) -> ColumnElement[str]:
    return literal(state.value, literal_execute=True)


IS_WAITING: Final = campaign_recipients.c.state == _written_out(RecipientState.PENDING)
"""In the queue, if the campaign is active."""

IS_UNSETTLED: Final = campaign_recipients.c.state.in_([_written_out(state) for state in UNSETTLED])
"""Keeps the campaign from being completed."""

CALL_IN_DOUBT: Final = send_attempts.c.outcome == _written_out(AttemptOutcome.IN_DOUBT)
"""The call was made and its answer was lost."""

FAILURE_TO_ACT_ON: Final = and_(
    delivery_events.c.status == literal_column("'failed'"),
    delivery_events.c.acted_at.is_(None),
    delivery_events.c.attempt_id.is_not(None),
)
"""A failure of one of our messages whose consequences were not drawn yet."""

ACCOUNT_EVENT_TO_ACT_ON: Final = account_events.c.acted_at.is_(None)
"""Word of Meta about the account that nothing was done about yet."""

INBOUND_TO_ACT_ON: Final = inbound_words.c.acted_at.is_(None)
"""What a person said or changed that nothing was done about yet."""
