"""The request that sends one template message, as Meta's page on sending messages has it."""

import json
from typing import Any

import pytest

from campaign_pipeline.whatsapp.messages import ButtonKind, ButtonValue, MediaHeader, TemplateMessage, TextHeader
from campaign_pipeline.whatsapp.simulator.judge import SendRequest, judge
from campaign_pipeline.whatsapp.simulator.judge import TemplateMessage as Judged


def message(**body: str) -> TemplateMessage:
    return TemplateMessage("+447911000001", "spring_sale", "en_US", body, "attempt-1")


def test_a_template_without_parameters_has_no_components() -> None:
    """An empty body component is refused by Meta with 132000."""
    assert message().as_request() == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+447911000001",
        "type": "template",
        "biz_opaque_callback_data": "attempt-1",
        "template": {"name": "spring_sale", "language": {"code": "en_US"}},
    }


def test_named_parameters_carry_their_names() -> None:
    """Without the name Meta takes the template for a positional one and refuses it."""
    body = {"first_name": "Ada", "city": "Zürich"}
    sent = TemplateMessage("+447911000001", "spring_sale", "de", body, "attempt-1").as_request()
    assert sent["template"]["components"] == [
        {
            "type": "body",
            "parameters": [
                {"type": "text", "parameter_name": "first_name", "text": "Ada"},
                {"type": "text", "parameter_name": "city", "text": "Zürich"},
            ],
        }
    ]


def test_positional_parameters_come_in_the_order_of_their_numbers() -> None:
    """In the order of the columns the name would stand where the voucher belongs; as text, 10 comes before 2."""
    body = {"10": "ten", "2": "two", "1": "one"}
    sent = TemplateMessage("+447911000001", "spring_sale", "en_US", body, "attempt-1").as_request()
    assert sent["template"]["components"] == [
        {"type": "body", "parameters": [{"type": "text", "text": word} for word in ("one", "two", "ten")]}
    ]


@pytest.mark.parametrize("body", [{}, {"who": "Ada"}, {"1": "Ada", "2": "50 %"}])
def test_the_simulator_takes_every_form_as_meta_would(body: dict[str, str]) -> None:
    """Two readings of the same documentation: where they differ, one of them is wrong."""
    request = json.dumps(TemplateMessage("+447911000001", "spring_sale", "en_US", body, "attempt-1").as_request())
    judged = judge(SendRequest("v25.0", "1", "Bearer t", request.encode()), "1", "t")
    assert isinstance(judged, Judged)
    assert (judged.to, judged.biz_opaque_callback_data) == ("+447911000001", "attempt-1")


def components(**parts: object) -> list[dict[str, Any]]:
    given: dict[str, Any] = {"body": {}, **parts}
    sent = TemplateMessage("+447911000001", "reservation_confirmation", "en_US", callback_data="attempt-1", **given)
    return sent.as_request()["template"]["components"]


def test_header_body_and_button_are_those_of_metas_own_example() -> None:
    """Meta's page on utility templates has this message; another form is refused with 132012."""
    assert components(
        header=MediaHeader("image", media_id="2871834006348767"),
        body={"number_of_guests": "4", "day": "Saturday"},
        buttons=[ButtonValue(0, ButtonKind.QUICK_REPLY, "STOP_MARKETING")],
    ) == [
        {"type": "header", "parameters": [{"type": "image", "image": {"id": "2871834006348767"}}]},
        {
            "type": "body",
            "parameters": [
                {"type": "text", "parameter_name": "number_of_guests", "text": "4"},
                {"type": "text", "parameter_name": "day", "text": "Saturday"},
            ],
        },
        {
            "type": "button",
            "sub_type": "quick_reply",
            "index": "0",
            "parameters": [{"type": "payload", "payload": "STOP_MARKETING"}],
        },
    ]


def test_a_header_can_be_text_or_media_by_link_and_only_a_document_has_a_name() -> None:
    """A parameter that Meta does not expect there is refused for everybody."""
    link = "https://example.com/offer"
    assert components(header=TextHeader({"1": "Bern"})) == [
        {"type": "header", "parameters": [{"type": "text", "text": "Bern"}]}
    ]
    assert components(header=MediaHeader("document", link=link, filename="Offer.pdf"))[0]["parameters"] == [
        {"type": "document", "document": {"link": link, "filename": "Offer.pdf"}}
    ]
    assert components(header=MediaHeader("video", link=link, filename="Offer.mp4"))[0]["parameters"] == [
        {"type": "video", "video": {"link": link}}
    ]


def test_the_buttons_take_what_their_kind_takes() -> None:
    """The end of an address is a text, a code a coupon code."""
    filled = components(
        buttons=[ButtonValue(0, ButtonKind.URL, "spring?x=1"), ButtonValue(1, ButtonKind.COPY_CODE, "SAVE20")]
    )
    assert [(each["sub_type"], each["index"], each["parameters"]) for each in filled] == [
        ("url", "0", [{"type": "text", "text": "spring?x=1"}]),
        ("copy_code", "1", [{"type": "coupon_code", "coupon_code": "SAVE20"}]),
    ]
