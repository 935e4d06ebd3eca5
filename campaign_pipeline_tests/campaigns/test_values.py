"""Values that WhatsApp would refuse are found where they come in."""

import pytest

from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.campaigns.message_pattern import MessagePattern
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.campaigns.values import ValueFaultKind, check_fixed_values, faults_in
from campaign_pipeline.whatsapp.simulator.template_components import judge_components
from campaign_pipeline.whatsapp.templates import Template
from campaign_pipeline_tests.support.templates import body, header, template


def pattern(*parameters: str, known: Template | None = None) -> MessagePattern:
    return MessagePattern("spring_sale", "en_US", tuple(map(TemplateParameter.parse, parameters)), known)


@pytest.mark.parametrize("value", ["Ada", "Ada  Lovelace", "four    spaces", "50 %", "Zoë 🌷", "x" * 1024])
def test_a_value_that_whatsapp_takes_is_taken(value: str) -> None:
    """Whoever is refused here without need gets no message, and nobody notices."""
    assert faults_in(pattern("1=name"), {"name": value}) == []


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("", ValueFaultKind.MISSING),
        ("  \t ", ValueFaultKind.MISSING),
        ("Ada\nLovelace", ValueFaultKind.FORM),
        ("Ada\r", ValueFaultKind.FORM),
        ("Ada\tLovelace", ValueFaultKind.FORM),
        ("five     spaces", ValueFaultKind.FORM),
        ("x" * 1025, ValueFaultKind.LENGTH),
    ],
)
def test_a_value_that_whatsapp_refuses_is_found(value: str, kind: ValueFaultKind) -> None:
    """On day seventeen it is 132012 for this person, or a campaign that stops for everybody."""
    (fault,) = faults_in(pattern("1=name"), {"name": value})
    assert (fault.kind, fault.parameter, fault.source) == (kind, "1", "name")
    assert fault.sentence.startswith(f"{kind}: name ")


@pytest.mark.parametrize("value", ["Ada", "a    b", "a     b", "a\nb", "a\tb", "a\rb", " a "])
def test_the_simulator_refuses_the_same_values(value: str) -> None:
    """Two readings of the same documentation: where they differ, one of them is wrong."""
    message = pattern("1=name").message("+447911000001", {"name": value}, "x")
    refused = judge_components(message.as_request()["template"]["components"]) is not None
    assert refused == bool(faults_in(pattern("1=name"), {"name": value}))


def test_only_the_columns_that_the_template_needs_are_looked_at() -> None:
    """A list has a column of notes, with line breaks in every row."""
    assert faults_in(pattern("1=name"), {"name": "Ada", "notes": "a\nb\tc"}) == []
    assert faults_in(pattern(), {"notes": "a\nb"}) == []


@pytest.mark.parametrize("value", ["https://example.com/a.png", "http://example.com/a?b=c", "id:2871", "id: 2871"])
def test_a_link_or_an_id_can_stand_in_the_header(value: str) -> None:
    """Meta takes either."""
    assert faults_in(pattern("header.image=picture"), {"picture": value}) == []


@pytest.mark.parametrize("value", ["picture.png", "2871", "https://", "https:///x", "ftp://x/y", "https://a b", "id:"])
def test_what_is_neither_link_nor_id_cannot(value: str) -> None:
    """Meta finds out when it fetches the picture, after it has accepted the message."""
    (fault,) = faults_in(pattern("header.image=picture"), {"picture": value})
    assert (fault.kind, "neither a link" in fault.detail) == (ValueFaultKind.FORM, True)


def test_a_body_that_is_too_long_once_it_is_filled_is_found_when_the_template_is_known() -> None:
    """Two values of 600 characters are each short enough."""
    long = {"a": "x" * 600, "b": "y" * 600}
    assert faults_in(pattern("1=a", "2=b"), long) == []
    known = template(body("{{1}} {{2}}"))
    (fault,) = faults_in(pattern("1=a", "2=b", known=known), long)
    assert (fault.kind, fault.parameter, fault.source) == (ValueFaultKind.LENGTH, "body", "a, b")
    assert "1,201 characters" in fault.detail
    assert faults_in(pattern("1=a", "2=b", known=known), {"a": "x" * 600, "b": "y" * 423}) == []


@pytest.mark.parametrize("parameter", ["1:=a\nb", "header.image:=picture.png", "1:=a     b"])
def test_a_fixed_text_that_nobody_could_be_sent_is_refused_at_once(parameter: str) -> None:
    """It would be wrong for everybody."""
    with pytest.raises(CampaignError, match="cannot be sent: it "):
        check_fixed_values(pattern(parameter))
    check_fixed_values(pattern("1=name", "header.image:=id:1"))


def test_only_what_fills_the_body_is_held_against_the_bodys_length() -> None:
    """A signed link to a picture is longer than any body, and is no part of it."""
    link = f"https://cdn.example.com/a.png?signature={'x' * 1200}"
    assert faults_in(pattern("header.image=picture", "button.0=code"), {"picture": link, "code": "y" * 1025}) == []


def test_a_header_that_is_too_long_once_it_is_filled_is_found_when_the_template_is_known() -> None:
    """Meta takes 60 characters there, and refuses this person's message on its day."""
    known = template(header("In {{1}}"), body("Hi"))
    (fault,) = faults_in(pattern("header.1=city", known=known), {"city": "x" * 58})
    assert (fault.kind, fault.parameter, fault.source) == (ValueFaultKind.LENGTH, "header", "city")
    assert "would make a header of 61 characters, and WhatsApp sends at most 60" in fault.detail
    assert faults_in(pattern("header.1=city", known=known), {"city": "x" * 57}) == []
    assert faults_in(pattern("header.1=city"), {"city": "x" * 58}) == []
