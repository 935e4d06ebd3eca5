"""A template as Meta shows it: what it asks of a message, and what a person would see."""

from typing import Any

import pytest

from campaign_pipeline.whatsapp.messages import ButtonKind, ButtonValue, MediaHeader, TemplateMessage, TextHeader
from campaign_pipeline.whatsapp.template_rendering import render
from campaign_pipeline.whatsapp.templates import Template, VariableKind
from campaign_pipeline_tests.support.templates import (
    COPY_CODE,
    PLAIN_URL,
    QUICK_REPLY,
    URL,
    body,
    buttons,
    header,
    media,
    raw_template,
    template,
)

CAROUSEL = {"type": "CAROUSEL", "cards": []}


@pytest.mark.parametrize(
    ("components", "variables"),
    [
        ([], []),
        ([body("Hello")], []),
        ([body("Hi {{first_name}}, {{ city }} and {{first_name}}")], ["first_name", "city"]),
        ([body("{{2}} and {{1}}")], ["2", "1"]),
        ([header("For {{1}}"), body("Hi {{1}}")], ["header.1", "1"]),
        ([{"type": "HEADER", "text": "For {{who}}"}], ["header.who"]),
        ([media("IMAGE")], ["header.image"]),
        ([media("VIDEO"), body("{{1}}")], ["header.video", "1"]),
        ([media("document")], ["header.document"]),
        ([buttons(PLAIN_URL, URL)], ["button.1"]),
        ([buttons(QUICK_REPLY, COPY_CODE)], ["button.0", "button.1"]),
        ([buttons({"type": "PHONE_NUMBER", "phone_number": "+44"})], []),
    ],
)
def test_a_templates_variables_are_named_as_parameters_are(
    components: list[dict[str, Any]], variables: list[str]
) -> None:
    """What is overlooked here is found out by Meta, once for every person of the first batch."""
    assert [variable.name for variable in template(*components).variables()] == variables


def test_only_the_payload_of_a_quick_reply_may_be_left_out() -> None:
    """Meta takes the button's text in its place; everything else it refuses to send without."""
    variables = template(media("IMAGE"), body("{{1}}"), buttons(URL, QUICK_REPLY, COPY_CODE)).variables()
    assert [variable.name for variable in variables if not variable.required] == ["button.1"]
    kinds = [VariableKind.IMAGE, VariableKind.TEXT, VariableKind.URL, VariableKind.PAYLOAD, VariableKind.COPY_CODE]
    assert [variable.kind for variable in variables] == kinds


@pytest.mark.parametrize(
    ("component", "said"),
    [
        (media("LOCATION"), "a header of format LOCATION"),
        (media("HOLOGRAM"), "a header of format HOLOGRAM"),
        (CAROUSEL, "a component CAROUSEL"),
        (buttons({"type": "FLOW", "text": "Go"}), "a button FLOW"),
    ],
)
def test_parts_that_want_more_than_a_campaign_can_give_are_told(component: dict[str, Any], said: str) -> None:
    """Sent without them, such a template is refused for everybody."""
    strange = template(component, body("Hi"))
    assert strange.beyond_us() == (said,)
    assert strange.variables() == ()


def test_parts_that_nobody_here_knows_are_kept_and_do_no_harm() -> None:
    """Meta adds fields every quarter; a campaign must not stop because of one."""
    raw = raw_template(
        {"type": "SPARKLES", "glow": 3}, body("Hi {{1}}"), "no component", library="summer", quality=None
    )
    read = Template.from_graph(raw)
    assert read.raw["library"] == "summer"
    assert read.components[0] == {"type": "SPARKLES", "glow": 3}
    assert [variable.name for variable in read.variables()] == ["1"]


@pytest.mark.parametrize(
    "raw", [{}, {"components": None}, {"components": "x", "quality_score": []}, {"id": 7, "name": 1}]
)
def test_a_template_without_what_it_should_have_is_read_all_the_same(raw: dict[str, Any]) -> None:
    """What is missing is found by the preflight, in a sentence, and not by a traceback."""
    read = Template.from_graph(raw)
    assert read.status == ""
    assert read.variables() == ()
    assert read.version


def test_languages_are_compared_as_they_are_sent() -> None:
    """Meta prints en-US in some places and wants en_US in others."""
    assert template(language="pt-BR").language == "pt_BR"
    assert template(status="approved", category="marketing").status == "APPROVED"


def test_the_version_changes_with_what_people_see_and_with_nothing_else() -> None:
    """By it the attempts are told apart that went out before and after an edit."""
    before = template(body("Hi {{1}}"))
    assert before.version == template(body("Hi {{1}}"), status="PAUSED", quality_score={"score": "RED"}).version
    assert before.version != template(body("Hello {{1}}")).version
    assert before.version != template(body("Hi {{1}}"), id="2").version
    assert len(before.version) <= 16


def message(**parts: object) -> TemplateMessage:
    given: dict[str, Any] = {"body": {}, **parts}
    return TemplateMessage("+447911000001", "spring_sale", "en_US", callback_data="preview", **given)


def test_a_message_is_shown_as_the_person_would_see_it() -> None:
    """A marketer reads the preview, and not the JSON."""
    shown = template(
        header("Sale in {{city}}"),
        body("Hi {{first_name}} {{last_name}}"),
        {"type": "FOOTER", "text": "Reply STOP"},
        buttons(URL, QUICK_REPLY, PLAIN_URL),
    )
    rendered = render(
        shown,
        message(
            body={"first_name": r"Ada \1"},
            header=TextHeader({"city": "Bern"}),
            buttons=[ButtonValue(0, ButtonKind.URL, "a\\1?x=1"), ButtonValue(1, ButtonKind.QUICK_REPLY, "STOP")],
        ),
    )
    assert rendered.as_text() == (
        "Sale in Bern\n"
        "Hi Ada \\1 {{last_name}}\n"
        "Reply STOP\n"
        "[Shop: https://shop.example/a\\1?x=1]\n"
        "[Unsubscribe: STOP]\n"
        "[Shop: https://shop.example/]"
    )


def test_media_are_shown_by_what_they_are() -> None:
    """Nobody can see the picture; which one it is can be said."""
    pictured = template(media("IMAGE"), body("Hi"))
    linked = MediaHeader("image", link="https://example.com/1.png")
    assert render(pictured, message(header=linked)).header == "<image: https://example.com/1.png>"
    assert render(pictured, message()).header == "<image>"
    paper = MediaHeader("document", media_id="12", filename="Offer.pdf")
    assert render(template(media("DOCUMENT")), message(header=paper)).as_text() == "<document: Offer.pdf, id 12>"
