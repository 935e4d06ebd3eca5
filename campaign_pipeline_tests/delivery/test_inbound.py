"""What people say in webhooks is read in every form that it takes, and of other messages nothing but that they came."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign_pipeline.delivery.inbound import InboundWord, read_inbound, words_in
from campaign_pipeline.ledger.states import InboundKind
from campaign_pipeline.recipients.stop_words import vocabulary
from campaign_pipeline_tests.delivery.payloads import (
    MARCH,
    change,
    changed_number,
    inbound,
    payload,
    preference,
    status,
    tap,
)

ADA = "447911000001"
BSUID = "GB.13491208655302741918"
SECRET = "my card number is 4111 1111 1111 1111"


def words(document: object) -> list[InboundWord]:
    """What people say in a payload."""
    return words_in(document, vocabulary())


def told(document: object) -> list[tuple[str, str | None, str | None, str | None]]:
    """Kind, names and the word that was understood."""
    return [(str(each.kind), each.wa_id, each.user_id, each.said) for each in words(document)]


def _press(kind: str, **reply: str) -> dict[str, Any]:
    return inbound(type="interactive", interactive={"type": kind, kind: reply})


@pytest.mark.parametrize(
    ("document", "kind", "said"),
    [
        (inbound("STOP"), "stop", "stop"),
        (inbound("  désabonner !"), "stop", "desabonner"),
        (inbound("START"), "start", "start"),
        (inbound("Where is my order?"), "reply", None),
        (inbound(""), "reply", None),
        (inbound(7), "reply", None),
        (tap("STOP_MARKETING", "Unsubscribe"), "stop", "stop marketing"),
        (tap("campaign-77", "Stop promotions"), "stop", "stop promotions"),
        (tap("campaign-77", "Tell me more"), "reply", None),
        (_press("button_reply", id="unsubscribe", title="Leave"), "stop", "unsubscribe"),
        (_press("button_reply", id="b1", title="STOP"), "stop", "stop"),
        (_press("list_reply", id="row", title="Opt in"), "start", "opt in"),
        (_press("nfm_reply", name="flow", body="STOP"), "reply", None),
        (inbound(type="image", image={"id": "1", "caption": "STOP"}), "reply", None),
        (inbound(type="unsupported", errors=[{"code": 131051}]), "reply", None),
        (inbound(type="reaction", reaction={"message_id": "wamid.1", "emoji": "👍"}), "reply", None),
        (preference("stop", wa_id=ADA), "preference_stop", "stop"),
        (preference("RESUME", wa_id=ADA), "preference_resume", "resume"),
        (preference("signup", wa_id=ADA), "preference_resume", "signup"),
        (change("standby", inbound("STOP")["entry"][0]["changes"][0]["value"]), "stop", "stop"),
    ],
)
def test_each_form_is_read_for_what_it_says(document: dict[str, Any], kind: str, said: str | None) -> None:
    """A STOP in a form that nobody has thought of is a person who goes on being written to."""
    assert told(document) == [(kind, ADA, None, said)]


@pytest.mark.parametrize(
    "document",
    [
        payload(status("wamid.1", "read")),
        inbound("STOP", group_id="group"),
        inbound(type="revoke", revoke={"original_message_id": "wamid.1"}),
        inbound(type="edit", edit={"message": {"type": "text", "text": {"body": "STOP"}}}),
        inbound(type="request_welcome"),
        inbound(type="reaction", reaction={"message_id": "wamid.1"}),
        inbound(type="system", system={"type": "customer_identity_changed"}),
        inbound(type="system", system={"type": "user_changed_number"}),
        preference("stop", wa_id=ADA, category="service_messages"),
        preference("pause", wa_id=ADA),
        preference("stop"),
        inbound("STOP", sender=None),
        change(
            "smb_message_echoes",
            {"message_echoes": [{"from": "1", "to": ADA, "type": "text", "text": {"body": "STOP"}}]},
        ),
        change("history", {"history": [{"threads": [{"messages": [{"from": ADA, "text": {"body": "STOP"}}]}]}]}),
        change("calls", {"calls": [{"from": ADA, "event": "connect"}]}),
        *(None, [], {}, {"entry": 7}, {"entry": [None, {"changes": [None, {"value": 7}]}]}),
        change("messages", {"messages": [None, 7, []], "contacts": 7}),
        change("user_preferences", {"user_preferences": {"value": "stop"}}),
    ],
)
def test_what_nobody_says_to_us_is_no_word(document: object) -> None:
    """What the business itself writes, what was said in a group or long ago, and what no program should send."""
    assert words(document) == []


def test_people_are_called_by_every_name_that_the_webhook_has_for_them() -> None:
    """Since 2026 the number may be missing, and the id has been seen in its place."""
    contact = {"wa_id": ADA, "user_id": BSUID}
    with_contact = inbound("STOP")
    with_contact["entry"][0]["changes"][0]["value"]["contacts"] = [contact]
    only_contact = inbound("STOP", sender=None)
    only_contact["entry"][0]["changes"][0]["value"]["contacts"] = [contact]
    strangers = inbound("STOP")
    strangers["entry"][0]["changes"][0]["value"]["contacts"] = [{"wa_id": "1", "user_id": "US.1"}]
    assert told(inbound("STOP", sender=None, user_id=BSUID)) == [("stop", None, BSUID, "stop")]
    assert told(inbound("STOP", sender=BSUID)) == [("stop", None, BSUID, "stop")]
    assert told(inbound("STOP", sender="+" + ADA)) == [("stop", ADA, None, "stop")]
    assert told(with_contact) == told(only_contact) == [("stop", ADA, BSUID, "stop")]
    assert told(strangers) == [("stop", ADA, None, "stop")]
    assert told(preference("stop", user_id=BSUID)) == [("preference_stop", None, BSUID, "stop")]


def test_a_changed_number_names_both() -> None:
    """The STOP of the old number would not hold for the new one."""
    (moved,) = words(changed_number(ADA, "447911000002", user_id="GB.2", previous_user_id="GB.1"))
    assert (moved.kind, moved.wa_id, moved.user_id) == (InboundKind.CHANGED, ADA, "GB.1")
    assert (moved.new_wa_id, moved.new_user_id) == ("447911000002", "GB.2")
    system = {"type": "user_changed_user_id", "previous_user_id": "GB.1", "user_id": "GB.2"}
    (renamed,) = words(inbound(sender=None, type="system", system=system))
    assert (renamed.wa_id, renamed.user_id, renamed.new_user_id) == (None, "GB.1", "GB.2")
    before = {"type": "customer_changed_number", "customer": ADA, "new_wa_id": "447911000002"}
    for sender in (ADA, None):
        (of_old,) = words(inbound(sender=sender, type="system", system=before))
        assert (of_old.kind, of_old.wa_id, of_old.new_wa_id) == (InboundKind.CHANGED, ADA, "447911000002")


def test_the_same_webhook_has_the_same_key_and_another_one_has_another() -> None:
    """Meta sends each at least once, for seven days if need be."""
    same = [inbound("STOP", message_id="wamid.a"), inbound("STOP", message_id="wamid.a", at=MARCH + 60)]
    others = [
        inbound("STOP", message_id="wamid.b"),
        preference("stop", wa_id=ADA),
        preference("stop", wa_id=ADA, at=MARCH + 1),
        preference("resume", wa_id=ADA),
        preference("stop", wa_id="447911000002"),
    ]
    keys = [words(each)[0].key for each in (*same, *others)]
    assert keys[0] == keys[1]
    assert len(set(keys)) == len(keys) - 1
    nameless = inbound("STOP")
    nameless["entry"][0]["changes"][0]["value"]["messages"][0].pop("id")
    assert words(nameless) == words(nameless)


def test_times_are_read_as_everywhere_and_a_missing_one_keeps_the_word() -> None:
    """A STOP with an odd time is a STOP."""
    moment = datetime.fromtimestamp(MARCH, UTC)
    assert [words(inbound("STOP", at=at))[0].said_at for at in (MARCH, MARCH * 1000)] == [moment, moment]
    assert words(preference("stop", wa_id=ADA, at="yesterday"))[0].said_at is None


def test_what_somebody_writes_is_read_no_further() -> None:
    """The ledger of a campaign is no place for what people tell the business."""
    documents = [inbound(SECRET), tap(SECRET, SECRET), _press("list_reply", id=SECRET, title=SECRET)]
    assert SECRET not in repr([words(each) for each in documents])


NAMES = [
    "type",
    "text",
    "body",
    "from",
    "from_user_id",
    "id",
    "system",
    "wa_id",
    "user_id",
    "context",
    "button",
    "payload",
    "value",
    "category",
    "timestamp",
    "interactive",
    "button_reply",
    "reaction",
]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.sampled_from(["messages", "standby", "user_preferences"]), anything, anything)
def test_no_shape_of_a_payload_is_an_error(field: str, items: object, contacts: object) -> None:
    """One odd webhook would hold up the file, and with it everybody's STOP."""
    value = {"messages": [items], "user_preferences": [items], "contacts": [contacts]}
    for word in read_inbound("1", field, value, vocabulary()):
        assert len(word.key) == 64
        assert word.wa_id or word.user_id
