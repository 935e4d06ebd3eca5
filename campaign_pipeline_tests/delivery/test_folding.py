"""The fold: a recipient's state is what its attempts and events amount to, in whatever order they were learnt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.delivery.folding import CAPACITY_WINDOW, rank_of, refold
from campaign_pipeline.ledger.schema import campaign_recipients, delivery_events, send_attempts
from campaign_pipeline.ledger.states import RecipientState
from campaign_pipeline.sending.attempts import AdmittedCall
from campaign_pipeline.sending.batches import close_batch, doubt_unanswered, release_held_up
from campaign_pipeline.whatsapp.client import Answer, AnswerKind
from campaign_pipeline_tests.delivery.conftest import Post
from campaign_pipeline_tests.delivery.payloads import MARCH, status
from campaign_pipeline_tests.support.sending import (
    LOST,
    accepted,
    attempts,
    batch_rows,
    campaign_status,
    outcomes,
    states,
)

REFUSED = Answer(AnswerKind.REFUSED, 400, 131026, "undeliverable")
"""An answer that says that this person cannot be reached."""


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(MARCH + seconds, UTC)


# --- every order -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """One status event of one message; only those with `names_attempt` carry our callback data."""

    message: int
    word: str
    second: int
    names_attempt: bool


@dataclass(frozen=True)
class Answered:
    """The answer to one call: taken, or lost."""

    message: int
    lost: bool


Step = Told | Answered

MESSAGES = 3


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[list[Told] | Answered], tuple[Step, ...]]:
    """Events of a few messages, some twice, and the answers to their calls, in any order and split over any files."""
    told = st.builds(
        Told,
        st.integers(0, MESSAGES - 1),
        st.sampled_from(["sent", "delivered", "read", "failed", "played"]),
        st.integers(0, 3),
        st.booleans(),
    )
    events = draw(st.lists(told, min_size=1, max_size=8, unique_by=lambda each: (each.message, each.word, each.second)))
    answers = [Answered(message, draw(st.booleans())) for message in range(MESSAGES) if draw(st.integers(0, 3))]
    steps = draw(st.permutations([*events, *draw(st.lists(st.sampled_from(events), max_size=3)), *answers]))
    files: list[list[Told] | Answered] = []
    for step in steps:
        if isinstance(step, Answered):
            files.append(step)
        elif files and isinstance(files[-1], list) and draw(st.booleans()):
            files[-1].append(step)
        else:
            files.append([step])
    return files, (*events, *answers)


def expected_of(message: int, facts: Sequence[Step]) -> tuple[str, list[datetime | None]]:
    """The rules of the design, in plain Python: the state of one recipient, and the times of its evidence."""
    answer = next((each for each in facts if isinstance(each, Answered) and each.message == message), None)
    events = [each for each in facts if isinstance(each, Told) and each.message == message]
    wamid_is_known = any(each.names_attempt for each in events) or (answer is not None and not answer.lost)
    known = events if wamid_is_known else []

    def first(*words: str) -> datetime | None:
        return min((at(each.second) for each in known if each.word in words), default=None)

    sent, delivered, read, failed = first("sent"), first("delivered"), first("read"), first("failed")
    times = [sent, delivered or read, read, failed]
    if read:
        return "read", times
    if delivered:
        return "delivered", times
    if failed:
        return "failed", times
    if sent:
        return "sent", times
    if wamid_is_known:
        return "accepted", times
    return ("attempting" if answer is None else "in_doubt"), times


class Messages:
    """Calls under way to take three of for each example; the same ledger serves them all."""

    def __init__(self, post: Post, examples: int) -> None:
        self._post = post
        self._calls = post.calls(MESSAGES * examples)
        self._used = 0

    def take(self) -> tuple[AdmittedCall, ...]:
        first, self._used = self._used, self._used + MESSAGES
        return self._calls[first : self._used]


def test_every_order_of_events_and_answers_gives_the_same_states_and_times(post: Post) -> None:
    """Meta sends late, twice and out of order; the figures must not depend on the weather."""
    examples = 40 if post.ledger.engine.dialect.name == "sqlite" else 10
    messages = Messages(post, 600)

    @given(histories())
    @settings(
        max_examples=examples,
        phases=[Phase.generate, Phase.shrink],
        database=None,
    )
    def holds(history: tuple[list[list[Told] | Answered], tuple[Step, ...]]) -> None:
        calls = messages.take()
        files, facts = history

        def wamid(message: int) -> str:
            return f"wamid.{calls[message].attempt_id}"

        for step in files:
            if isinstance(step, Answered):
                post.answer(calls[step.message], LOST if step.lost else accepted(wamid(step.message)))
            else:
                post.learn(
                    *(
                        status(
                            wamid(each.message),
                            each.word,
                            MARCH + each.second,
                            callback=calls[each.message].attempt_id if each.names_attempt else None,
                        )
                        for each in step
                    )
                )
        with post.ledger.read() as connection:
            rows = {
                row.id: (row.state, [row.sent_at, row.delivered_at, row.read_at, row.failed_at])
                for row in connection.execute(
                    select(
                        send_attempts.c["id", "sent_at", "delivered_at", "read_at", "failed_at"],
                        campaign_recipients.c.state,
                    )
                    .join(campaign_recipients, campaign_recipients.c.id == send_attempts.c.recipient_id)
                    .where(send_attempts.c.id.in_([call.attempt_id for call in calls]))
                )
            }
        found = [rows[call.attempt_id] for call in calls]
        assert found == [expected_of(message, facts) for message in range(MESSAGES)]

    holds()


# --- one rule at a time ----------------------------------------------------------------------------------------------


def test_a_status_that_comes_before_our_own_answer_is_stored_counts_and_is_kept(post: Post) -> None:
    """Meta's webhook is often faster than our commit."""
    (call,) = post.calls(1)
    post.learn(status("wamid.1", "delivered", callback=call.attempt_id))
    assert states(post.ledger) == ["delivered"]
    post.answer(call, accepted("wamid.1"))
    assert states(post.ledger) == ["delivered"]
    (attempt,) = attempts(post.ledger)
    assert (attempt.outcome, attempt.wamid, attempt.http_status) == ("accepted", "wamid.1", 200)
    assert attempt.counts_until == post.clock.now() + CAPACITY_WINDOW


def test_a_status_without_our_id_waits_for_the_answer_that_knows_its_wamid(post: Post) -> None:
    """Parked, not lost: nobody sends the webhook again."""
    (call,) = post.calls(1)
    post.learn(status("wamid.1", "sent"), status("wamid.1", "read", MARCH + 9))
    assert states(post.ledger) == ["attempting"]
    post.answer(call, accepted("wamid.1"))
    assert states(post.ledger) == ["read"]
    (attempt,) = attempts(post.ledger)
    assert (attempt.sent_at, attempt.delivered_at, attempt.read_at) == (at(0), at(9), at(9))


def test_a_status_without_our_id_is_matched_when_a_later_one_tells_whose_the_wamid_is(post: Post) -> None:
    """The answer was lost and `failed` came without callback data; `sent`, which has it, names the attempt for both."""
    (call,) = post.calls(1)
    post.answer(call, LOST)
    post.learn(status("wamid.1", "failed", code=131026))
    post.learn(status("wamid.1", "sent", callback=call.attempt_id))
    assert states(post.ledger) == ["failed"]


@pytest.mark.parametrize(
    ("word", "state"), [("sent", "sent"), ("delivered", "delivered"), ("read", "read"), ("failed", "failed")]
)
def test_a_doubt_is_settled_by_a_webhook_that_names_the_attempt(post: Post, word: str, state: str) -> None:
    """The only way out of doubt without a person."""
    (call,) = post.calls(1)
    post.answer(call, LOST)
    assert states(post.ledger) == ["in_doubt"]
    post.learn(status("wamid.1", word, callback=call.attempt_id, code=131049 if word == "failed" else None))
    assert states(post.ledger) == [state]
    assert outcomes(post.ledger) == ["accepted"]
    assert campaign_status(post.ledger) == "completed"


def test_a_failure_after_acceptance_keeps_metas_code_and_words(post: Post) -> None:
    """Why somebody did not get it is what the operator asks next."""
    (call,) = post.calls(1)
    post.answer(call, accepted("wamid.1"))
    post.learn(status("wamid.1", "failed", code=131049))
    (attempt,) = attempts(post.ledger)
    assert (attempt.failure_code, attempt.failure_text) == (131049, "Message undeliverable")
    with post.ledger.read() as connection:
        row = connection.execute(select(campaign_recipients)).one()
    assert (row.state, row.reason) == ("failed", "Message undeliverable")
    assert row.accepted_at is not None


def test_delivered_wins_over_failed_in_either_order(post: Post) -> None:
    """Meta has been seen to send both; who has the message has it."""
    first, second = post.calls(2)
    post.learn(status("a", "failed", callback=first.attempt_id), status("b", "delivered", callback=second.attempt_id))
    assert states(post.ledger) == ["failed", "delivered"]
    post.learn(status("a", "delivered", callback=first.attempt_id), status("b", "failed", callback=second.attempt_id))
    assert states(post.ledger) == ["delivered", "delivered"]
    with post.ledger.read() as connection:
        assert list(connection.execute(select(campaign_recipients.c.reason)).scalars()) == [None, None]


def test_read_implies_delivered_though_delivered_never_comes(post: Post) -> None:
    """Opened at once, Meta sends `read` alone; without this the delivery rate would be below the read rate."""
    (call,) = post.calls(1)
    post.learn(status("a", "read", MARCH + 5, callback=call.attempt_id))
    (attempt,) = attempts(post.ledger)
    assert (attempt.delivered_at, attempt.read_at) == (at(5), at(5))
    post.learn(status("a", "delivered", MARCH + 3, callback=call.attempt_id))
    (attempt,) = attempts(post.ledger)
    assert (attempt.delivered_at, attempt.read_at) == (at(3), at(5))


def test_a_status_that_nobody_knows_settles_a_doubt_and_claims_no_more(post: Post) -> None:
    """Whatever the word means, WhatsApp has the message."""
    (call,) = post.calls(1)
    post.answer(call, LOST)
    post.learn(status("a", "played", callback=call.attempt_id))
    assert states(post.ledger) == ["accepted"]


def test_a_late_answer_takes_nothing_back_that_a_webhook_has_said(post: Post) -> None:
    """A timeout of ours after Meta's `read`; or a refusal, which then was about something else."""
    first, second = post.calls(2)
    post.learn(status("a", "read", callback=first.attempt_id), status("b", "sent", callback=second.attempt_id))
    post.answer(first, LOST)
    post.answer(second, REFUSED)
    assert states(post.ledger) == ["read", "sent"]
    assert outcomes(post.ledger) == ["accepted", "accepted"]


def test_a_late_answer_settles_a_doubt(post: Post) -> None:
    """A worker that was given up comes back with the answer."""
    taken, refused = post.calls(2)
    with post.ledger.write() as connection:
        (batch,) = batch_rows(post.ledger)
        assert doubt_unanswered(connection, batch, post.clock.now()) == 2
    assert states(post.ledger) == ["in_doubt", "in_doubt"]
    post.answer(taken, accepted("a"))
    post.answer(refused, REFUSED)
    assert states(post.ledger) == ["accepted", "failed"]
    until = {attempt.outcome: attempt.counts_until for attempt in attempts(post.ledger)}
    assert until == {"accepted": post.clock.now() + CAPACITY_WINDOW, "refused": None}


def void(post: Post, call: AdmittedCall) -> None:
    """What a person's "reached nobody" does: the attempt is voided, the person back in the queue."""
    with post.ledger.write() as connection:
        (batch,) = batch_rows(post.ledger)
        close_batch(connection, batch, "closed by a test", post.clock.now())
        connection.execute(update(send_attempts).where(send_attempts.c.id == call.attempt_id).values(outcome="voided"))
        mine = select(send_attempts.c.recipient_id).where(send_attempts.c.id == call.attempt_id)
        refold(connection, mine, post.clock.now())


@pytest.mark.parametrize("word", ["sent", "delivered", "read"])
def test_evidence_overrules_a_person_who_said_that_nobody_was_reached(post: Post, word: str) -> None:
    """Left in the queue, the person would get the message a second time tomorrow."""
    (call,) = post.calls(1)
    post.answer(call, LOST)
    void(post, call)
    assert states(post.ledger) == ["pending"]
    post.learn(status("a", word, callback=call.attempt_id))
    assert states(post.ledger) == [word]
    assert campaign_status(post.ledger) == "completed"
    (batch,) = batch_rows(post.ledger)
    with post.ledger.read() as connection:
        row = connection.execute(select(campaign_recipients)).one()
    assert (row.batch_id, row.accepted_at is not None) == (batch.id, True)


def test_a_failure_after_a_person_said_that_nobody_was_reached_is_final_too(post: Post) -> None:
    """WhatsApp had the message and says why it did not arrive; the same message again would meet the same end."""
    (call,) = post.calls(1)
    post.answer(call, LOST)
    void(post, call)
    post.learn(status("a", "failed", callback=call.attempt_id, code=131026))
    assert states(post.ledger) == ["failed"]
    assert outcomes(post.ledger) == ["voided"]
    assert campaign_status(post.ledger) == "completed"
    post.learn(status("a", "delivered", callback=call.attempt_id))
    assert states(post.ledger) == ["delivered"]


def test_a_campaign_that_a_status_has_completed_never_has_anybody_waiting_again(post: Post) -> None:
    """First a person's "not reached", then `sent`, then `failed`: in a completed campaign nobody looks at the queue."""
    (call,) = post.calls(1)
    post.answer(call, LOST)
    void(post, call)
    post.learn(status("a", "sent", callback=call.attempt_id))
    assert campaign_status(post.ledger) == "completed"
    post.learn(status("a", "failed", callback=call.attempt_id, code=131049))
    assert states(post.ledger) == ["failed"]


def test_a_refusal_that_was_delivered_all_the_same_counts_as_sent(post: Post) -> None:
    """More delivered than sent: figures in which nobody believes any more."""
    (call,) = post.calls(1)
    post.answer(call, REFUSED)
    assert states(post.ledger) == ["failed"]
    post.learn(status("a", "delivered", callback=call.attempt_id))
    assert states(post.ledger) == ["delivered"]
    with post.ledger.read() as connection:
        [accepted_at] = connection.execute(select(campaign_recipients.c.accepted_at)).scalars()
    assert accepted_at is not None


def test_evidence_about_somebody_who_had_left_an_open_batch_keeps_its_account(post: Post) -> None:
    """A pause gives people back, then a status says that one was reached: the batch would hold more than it took."""
    first, second = post.calls(2)
    post.answer(first, LOST)
    post.answer(second, accepted("b"))
    with post.ledger.write() as connection:
        mine = send_attempts.c.id == first.attempt_id
        connection.execute(update(send_attempts).where(mine).values(outcome="voided"))
        refold(connection, select(send_attempts.c.recipient_id).where(mine), post.clock.now())
    (batch,) = batch_rows(post.ledger)
    with post.ledger.write() as connection:
        lifecycle.pause(connection, "spring-sale", actor="test", now=post.clock.now())
        release_held_up(connection, batch, post.clock.now())
    (paused,) = batch_rows(post.ledger)
    assert (paused.state, paused.size, paused.moved_on) == ("open", 2, 1)
    post.learn(status("a", "read", callback=first.attempt_id))
    (batch,) = batch_rows(post.ledger)
    assert (batch.size, batch.moved_on) == (2, 0)


def test_events_of_messages_that_are_not_ours_are_kept_and_change_nobody(post: Post) -> None:
    """The automated replies on the same number have statuses too."""
    post.calls(1)
    post.learn(status("theirs", "read"), status("theirs-too", "failed", callback="their own id", code=1))
    assert states(post.ledger) == ["attempting"]
    with post.ledger.read() as connection:
        rows = connection.execute(select(delivery_events).order_by(delivery_events.c.id)).all()
    assert [(row.wamid, row.callback_data, row.attempt_id) for row in rows] == [
        ("theirs", None, None),
        ("theirs-too", "their own id", None),
    ]
    assert outcomes(post.ledger) == ["calling"]


def test_states_grow_stronger_in_one_order() -> None:
    """The fold takes the strongest attempt of a person; this order is all that it goes by."""
    order = ["failed", "in_doubt", "attempting", "accepted", "sent", "delivered", "read"]
    assert [rank_of(RecipientState(state)) for state in order] == [1, 2, 3, 4, 5, 6, 7]


def test_capacity_counts_a_call_whose_answer_is_a_webhook_for_a_day_from_then(post: Post) -> None:
    """Else a call whose worker died would use a place for ever."""
    (call,) = post.calls(1)
    post.clock.forward(hours=2)
    post.learn(status("a", "sent", callback=call.attempt_id))
    (attempt,) = attempts(post.ledger)
    assert attempt.counts_until == post.clock.now() + timedelta(hours=24)


Ordering = Callable[[list[dict]], list[dict]]


@pytest.mark.parametrize("order", [list, lambda each: each[::-1]], ids=["forwards", "backwards"])
def test_one_payload_with_the_whole_life_of_a_message_is_folded_at_once(post: Post, order: Ordering) -> None:
    """A webhook receiver that was down for a day gets everything together."""
    (call,) = post.calls(1)
    life = [
        status("a", word, MARCH + second, callback=call.attempt_id)
        for second, word in enumerate(("sent", "delivered", "read"))
    ]
    post.learn(*order(life))
    (attempt,) = attempts(post.ledger)
    assert (attempt.sent_at, attempt.delivered_at, attempt.read_at) == (at(0), at(1), at(2))
    assert states(post.ledger) == ["read"]


@pytest.mark.parametrize("seconds", [-(10**6), 10**8], ids=["long before the call", "years from now"])
def test_a_clock_that_is_wrong_moves_no_answer_out_of_its_order(post: Post, seconds: int) -> None:
    """Which messages are a campaign's last ones is told by when they were answered: a wrong clock would hide them."""
    (call,) = post.calls(1)
    (before,) = attempts(post.ledger)
    post.clock.forward(minutes=1)
    post.learn(status("wamid.1", "sent", MARCH + seconds, callback=call.attempt_id))
    (attempt,) = attempts(post.ledger)
    assert attempt.sent_at == at(seconds), "the time is kept as it was told"
    assert attempt.answered_at == (before.started_at if seconds < 0 else post.clock.now())


def test_a_failure_after_the_delivery_is_kept_and_changes_no_state(post: Post) -> None:
    """Meta has been seen to send both; whoever asks about that person has to see both."""
    (wamid,) = post.messages(1)
    post.learn(status(wamid, "delivered", MARCH), status(wamid, "failed", MARCH + 1, code=131026))
    (attempt,) = attempts(post.ledger)
    assert states(post.ledger) == ["delivered"]
    assert (attempt.delivered_at, attempt.failed_at, attempt.failure_code) == (at(0), at(1), 131026)
