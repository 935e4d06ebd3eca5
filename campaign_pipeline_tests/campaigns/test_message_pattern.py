"""The message of one person, from a campaign's parameters and the person's columns."""

import pytest

from campaign_pipeline.campaigns.message_pattern import MessagePattern
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.whatsapp.messages import ButtonKind, ButtonValue, MediaHeader, TextHeader
from campaign_pipeline.whatsapp.templates import Template
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.templates import COPY_CODE, QUICK_REPLY, URL, body, buttons, template

COLUMNS = {"Name": "Ada", "City": "Bern", "Picture": "https://example.com/1.png", "Code": "a1", "File": "Offer.pdf"}


def pattern(*parameters: str, known: Template | None = None) -> MessagePattern:
    return MessagePattern("spring_sale", "en_US", tuple(map(TemplateParameter.parse, parameters)), known)


def test_each_parameter_gets_into_its_part_of_the_message() -> None:
    """A city in the header and a name in the body, and not the other way round."""
    message = pattern("header.1=City", "1=Name", "2:=20 %", "button.1.payload:=STOP", "button.0=Code").message(
        phone(1), COLUMNS, "attempt-1"
    )
    assert (message.to, message.template_name, message.language) == (phone(1), "spring_sale", "en_US")
    assert message.callback_data == "attempt-1"
    assert message.body == {"1": "Ada", "2": "20 %"}
    assert message.header == TextHeader({"1": "Bern"})
    assert message.buttons == (
        ButtonValue(0, ButtonKind.URL, "a1"),
        ButtonValue(1, ButtonKind.QUICK_REPLY, "STOP"),
    )


@pytest.mark.parametrize(
    ("parameters", "header"),
    [
        (["header.image=Picture"], MediaHeader("image", link="https://example.com/1.png")),
        (["header.image:=id:2871834006348767"], MediaHeader("image", media_id="2871834006348767")),
        (["header.video:=id: 7"], MediaHeader("video", media_id="7")),
        (
            ["header.document=Picture", "header.document.filename=File"],
            MediaHeader("document", link="https://example.com/1.png", filename="Offer.pdf"),
        ),
        (["header.document:=id:1", "header.document.filename=None"], MediaHeader("document", media_id="1")),
        ([], None),
    ],
)
def test_media_are_given_by_link_or_by_id(parameters: list[str], header: MediaHeader | None) -> None:
    """An id that is sent as a link is fetched from nowhere, for everybody."""
    assert pattern(*parameters).message(phone(1), COLUMNS, "x").header == header


def test_the_template_says_which_kind_of_button_stands_where() -> None:
    """A payload sent to an address button is refused with 132012."""
    known = template(body("Hi"), buttons(URL, QUICK_REPLY, COPY_CODE))
    parameters = ["button.0:=a", "button.1:=b", "button.2:=c"]
    kinds = [each.kind for each in pattern(*parameters, known=known).message(phone(1), {}, "x").buttons]
    assert kinds == [ButtonKind.URL, ButtonKind.QUICK_REPLY, ButtonKind.COPY_CODE]
    unknown = [each.kind for each in pattern(*parameters, "button.3.code:=d").message(phone(1), {}, "x").buttons]
    assert unknown == [ButtonKind.URL] * 3 + [ButtonKind.COPY_CODE]


def test_what_a_person_would_see_is_known_once_the_template_is() -> None:
    """A preview that shows only the values hides that the sentence round them reads wrongly."""
    blind = pattern("1=Name")
    message = blind.message(phone(1), COLUMNS, "x")
    assert blind.rendered(message) is None
    rendered = pattern("1=Name", known=template(body("Dear {{1}},"))).rendered(message)
    assert rendered is not None
    assert rendered.body == "Dear Ada,"
