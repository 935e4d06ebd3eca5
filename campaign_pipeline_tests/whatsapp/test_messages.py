"""The request that sends one template message, as Meta's page on sending messages has it."""

import json

import pytest

from campaign_pipeline.whatsapp.messages import TemplateMessage
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
