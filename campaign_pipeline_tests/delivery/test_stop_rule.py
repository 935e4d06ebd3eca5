"""When failures pause a campaign, as a rule without any ledger."""

from hypothesis import given
from hypothesis import strategies as st

from campaign_pipeline.delivery.stop_rule import IN_A_ROW, MessageEnd, StopRule

REACHED = MessageEnd(failed=False)
NOT_ON_WHATSAPP = MessageEnd(failed=True, code=131026)
UNKNOWN = MessageEnd(failed=True, code=987_654, only_here=False)

RULE = StopRule(last=10, percent=30)


def test_a_share_of_failures_above_the_limit_pauses_and_one_at_the_limit_does_not() -> None:
    """A bought list fails by half; at 250 a day that is noticed after a week, with the number's quality gone."""
    assert RULE.reason_to_pause([], [NOT_ON_WHATSAPP] * 3 + [REACHED] * 7) is None
    assert RULE.reason_to_pause([], [NOT_ON_WHATSAPP] * 4 + [REACHED] * 6) == (
        "4 of its last 10 messages failed, more than 30 %"
    )


def test_a_campaign_that_has_sent_little_is_left_alone() -> None:
    """Of the first two people one is not on WhatsApp: that is half, and says nothing."""
    assert RULE.reason_to_pause([], [NOT_ON_WHATSAPP] * 9) is None


def test_a_call_that_was_accepted_ends_a_row_of_refusals_and_says_nothing_about_later_failures() -> None:
    """Accepted is not delivered: taken for well, a code that fails everybody by webhook is found when all are lost."""
    assert RULE.reason_to_pause([UNKNOWN, UNKNOWN, REACHED, UNKNOWN], []) is None
    assert RULE.reason_to_pause([UNKNOWN] * 3, []) is not None
    assert RULE.reason_to_pause([REACHED] * 3, [UNKNOWN] * 3) is not None


def test_only_the_last_messages_count() -> None:
    """A bad beginning that was mended must not pause the campaign for ever."""
    assert RULE.reason_to_pause([], [REACHED] * 10 + [NOT_ON_WHATSAPP] * 40) is None


def test_failures_that_may_lie_beyond_the_people_pause_after_a_few_in_a_row() -> None:
    """A code that nobody knows may be the template's: one by one it would fail the whole audience."""
    assert RULE.reason_to_pause([], [UNKNOWN] * (IN_A_ROW - 1) + [REACHED]) is None
    assert RULE.reason_to_pause([], [UNKNOWN, REACHED, UNKNOWN, UNKNOWN]) is None
    assert "987654" in (RULE.reason_to_pause([], [UNKNOWN] * IN_A_ROW) or "")


@given(st.lists(st.sampled_from([REACHED, NOT_ON_WHATSAPP]), max_size=60))
def test_turned_off_the_share_pauses_nothing(ends: list[MessageEnd]) -> None:
    """Who has chosen 100 % has chosen to look by themselves."""
    assert StopRule(last=10, percent=100).reason_to_pause([], ends) is None
