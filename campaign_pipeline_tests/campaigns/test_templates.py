"""What fills a template is decided before the first message, not found out at the two-hundredth."""

import pytest

from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.campaigns.templates import (
    TemplateParameter,
    check_parameters,
    from_rows,
    missing_columns,
    to_rows,
    values_for,
)


@pytest.mark.parametrize(
    ("text", "name", "column"),
    [
        ("first_name=first_name", "first_name", "first_name"),
        ("first_name = First Name ", "first_name", "First Name"),
        ("1=Name", "1", "Name"),
        ("12=Größe", "12", "Größe"),
        ("code=a=b", "code", "a=b"),
        ("header.first_name=Name", "header.first_name", "Name"),
        ("header.1=Name", "header.1", "Name"),
        ("header.image=Picture", "header.image", "Picture"),
        ("header.document.filename=File", "header.document.filename", "File"),
        ("button.0=Code", "button.0", "Code"),
        ("button.9.payload=Answer", "button.9.payload", "Answer"),
        ("button.1.code=Code", "button.1.code", "Code"),
    ],
)
def test_a_parameter_names_the_column_that_fills_it(text: str, name: str, column: str) -> None:
    """A column is spelled as people spelled it; the parameter as Meta does."""
    assert TemplateParameter.parse(text) == TemplateParameter(name, column)


@pytest.mark.parametrize(
    "text",
    [
        *["", "name", "=column", "name=", "name= ", "Name=x", "0=x", "01=x", "100=x", "first name=x", "1a=x"],
        *["name:=", "name:= ", "name::=x", ":=x", "header.=x", "header.Image=x", "header.a.b=x"],
        *["button.10=x", "button.a=x", "button.0.text=x", "footer.1=x", "header.image.filename=x"],
    ],
)
def test_what_is_no_parameter_is_refused_with_how_to_write_one(text: str) -> None:
    """Taken as it stands, it would be refused by Meta once for every person, each counted against the limit."""
    with pytest.raises(CampaignError, match="is written NAME=COLUMN, as in first_name=name or 1=name"):
        TemplateParameter.parse(text)


@pytest.mark.parametrize(
    ("text", "name", "fixed"),
    [
        ("header.image:=https://example.com/a.png?x=1", "header.image", "https://example.com/a.png?x=1"),
        ("header.image := id:2871834006348767", "header.image", "id:2871834006348767"),
        ("first_name:=Friend", "first_name", "Friend"),
        ("1:==", "1", "="),
    ],
)
def test_a_parameter_can_be_the_same_for_everybody(text: str, name: str, fixed: str) -> None:
    """A picture of the campaign stands in no list; a column made for it is forgotten in the next one."""
    parameter = TemplateParameter.parse(text)
    assert (parameter.name, parameter.column, parameter.fixed) == (name, None, fixed)
    assert parameter.value_of({"": "x"}) == fixed
    assert TemplateParameter.parse(parameter.written) == parameter
    assert from_rows(to_rows([parameter])) == (parameter,)


def _named(*names: str) -> list[TemplateParameter]:
    return [TemplateParameter(name, "column") for name in names]


@pytest.mark.parametrize(
    "names",
    [
        *[(), ("first_name",), ("a", "b"), ("1",), ("1", "2", "3"), ("3", "1", "2")],
        *[("header.1", "1", "2"), ("header.city", "name"), ("name", "header.image"), ("1", "header.video")],
        *[("header.document", "header.document.filename"), ("button.0", "button.1.payload", "1"), ("button.2", "a")],
    ],
)
def test_parameters_that_a_template_can_have_are_taken(names: tuple[str, ...]) -> None:
    """Meta's templates are named throughout or numbered from 1."""
    check_parameters(_named(*names))


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("a", "a"), "named once only: a, a"),
        (("1", "1"), "named once only: 1, 1"),
        (("1", "name"), "either all named or all numbered"),
        (("2",), "from 1 without a gap: 2"),
        (("1", "3"), "from 1 without a gap: 1, 3"),
        (("header.2", "1"), "from 1 without a gap: 2"),
        (("header.city", "1"), "either all named or all numbered"),
        (("header.image", "header.video"), "one header"),
        (("header.image", "header.1"), "one header"),
        (("header.document.filename",), "give header.document as well"),
        (("header.image", "header.document.filename"), "give header.document as well"),
        (("button.0", "button.0.payload"), "Each button takes one value"),
    ],
)
def test_parameters_that_no_template_can_have_are_refused(names: tuple[str, ...], sentence: str) -> None:
    """Meta answers such a message with an error for each person, after the batch was taken."""
    with pytest.raises(CampaignError, match=sentence):
        check_parameters(_named(*names))


def test_the_values_of_a_person_come_from_their_columns() -> None:
    """Somebody else's name in a message is worse than no message."""
    parameters = [TemplateParameter("1", "Name"), TemplateParameter("2", "City")]
    columns = {"Name": "Zoë", "city": "Köln", "note": "x"}
    assert values_for(parameters, columns) == {"1": "Zoë", "2": ""}
    assert missing_columns(parameters, columns) == ["City"]
    assert missing_columns(parameters, {"Name": "  ", "City": "Köln"}) == ["Name"]
    assert missing_columns([], {}) == []


def test_parameters_come_back_from_the_ledger_in_their_order() -> None:
    """A positional template in another order greets people with their city."""
    parameters = (TemplateParameter("1", "Name"), TemplateParameter("2", "City"))
    assert from_rows(to_rows(parameters)) == parameters
