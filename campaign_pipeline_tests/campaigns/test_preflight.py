"""What a preflight finds, from what Meta has shown and what the people's values are."""

from typing import Any

import pytest

from campaign_pipeline.campaigns.message_pattern import MessagePattern
from campaign_pipeline.campaigns.preflight import Severity, errors_in, findings_of
from campaign_pipeline.campaigns.template_lookup import (
    Absent,
    Found,
    NotLookedUp,
    TemplateLookup,
    Unreadable,
    in_language,
)
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.campaigns.value_problems import ListedPerson, ValueProblem
from campaign_pipeline.campaigns.values import ValueFaultKind
from campaign_pipeline.ledger.states import CampaignStatus
from campaign_pipeline_tests.support.templates import (
    COPY_CODE,
    QUICK_REPLY,
    URL,
    body,
    buttons,
    header,
    media,
    template,
)

PHONE = "+447911000001"


def found(
    lookup: TemplateLookup,
    *parameters: str,
    problems: tuple[ValueProblem, ...] = (),
    status: CampaignStatus = CampaignStatus.DRAFT,
) -> list[tuple[Severity, str, str]]:
    pattern = MessagePattern("spring_sale", "en_US", tuple(map(TemplateParameter.parse, parameters)), None)
    findings = findings_of(pattern, lookup, problems, "spring-sale", status)
    return [(finding.severity, finding.code, finding.sentence) for finding in findings]


def codes(lookup: TemplateLookup, *parameters: str) -> list[str]:
    return [code for _, code, _ in found(lookup, *parameters)]


def test_a_template_that_fits_has_no_findings() -> None:
    """A preflight that always finds something is not read any more."""
    fitting = template(header("In {{city}}"), body("Hi {{first_name}}"), buttons(URL, QUICK_REPLY))
    assert found(Found(fitting), "header.city=City", "first_name=Name", "button.0=Code") == []
    assert found(Found(fitting), "header.city=City", "first_name=Name", "button.0=Code", "button.1.payload:=STOP") == []
    pictured = template(media("DOCUMENT"), buttons(COPY_CODE))
    parameters = ["header.document=File", "header.document.filename:=Offer.pdf", "button.0.code:=SAVE20"]
    assert found(Found(pictured), *parameters) == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("PAUSED", "unpause it in WhatsApp Manager"),
        ("DISABLED", "choose another"),
        ("PENDING", "try again when it is approved"),
        ("REJECTED", "mend it"),
        ("SOMETHING_NEW", "only an approved template can be sent"),
        ("", "in no state that Meta tells"),
    ],
)
def test_a_template_that_is_not_approved_is_an_error_with_what_to_do(status: str, said: str) -> None:
    """Every message of it would be refused."""
    ((severity, code, sentence),) = found(Found(template(body("Hi"), status=status)))
    assert (severity, code) == (Severity.ERROR, "template_not_approved")
    assert said in sentence


def test_a_category_other_than_marketing_is_a_warning() -> None:
    """It is sent all the same; Meta may change its category and its price."""
    ((severity, code, sentence),) = found(Found(template(body("Hi"), category="UTILITY")))
    assert (severity, code) == (Severity.WARNING, "category_not_marketing")
    assert "is UTILITY, not MARKETING" in sentence


@pytest.mark.parametrize("quality", ["RED", "YELLOW"])
def test_a_template_of_low_quality_is_a_warning(quality: str) -> None:
    """Meta pauses it next, in the middle of a campaign of weeks."""
    ((severity, code, sentence),) = found(Found(template(body("Hi"), quality_score={"score": quality})))
    assert (severity, code) == (Severity.WARNING, "template_quality")
    assert f"is {quality}: " in sentence
    assert found(Found(template(body("Hi"), quality_score={"score": "UNKNOWN"}))) == []


@pytest.mark.parametrize(
    ("components", "parameters", "expected"),
    [
        ([body("Hi {{1}}")], [], ["variable_without_parameter"]),
        ([header("In {{1}}"), body("Hi {{1}}")], ["1=n"], ["variable_without_parameter"]),
        ([media("IMAGE"), body("Hi")], [], ["variable_without_parameter"]),
        ([buttons(URL)], [], ["variable_without_parameter"]),
        ([buttons(COPY_CODE)], [], ["variable_without_parameter"]),
        ([body("Hi")], ["1=n"], ["parameter_without_variable"]),
        ([body("Hi {{1}}")], ["1=n", "2=m"], ["parameter_without_variable"]),
        ([body("Hi {{1}}")], ["1=n", "header.image:=id:1"], ["parameter_without_variable"]),
        ([body("Hi {{1}}")], ["1=n", "button.0=x"], ["parameter_without_variable"]),
        ([body("Hi {{1}}")], ["first_name=n"], ["variable_without_parameter", "parameter_without_variable"]),
        ([media("IMAGE")], ["header.video:=id:1"], ["variable_without_parameter", "parameter_without_variable"]),
        ([buttons(URL)], ["button.0.payload=x"], ["parameter_of_another_kind"]),
        ([buttons(QUICK_REPLY)], ["button.0.code=x"], ["parameter_of_another_kind"]),
        ([{"type": "CAROUSEL"}, body("Hi")], [], ["part_not_supported"]),
    ],
)
def test_variables_and_parameters_have_to_match(
    components: list[dict[str, Any]], parameters: list[str], expected: list[str]
) -> None:
    """132000 or 132012, for everybody, after the day's batch was taken."""
    findings = found(Found(template(*components)), *parameters)
    assert [code for _, code, _ in findings] == expected
    assert {severity for severity, *_ in findings} == {Severity.ERROR}


@pytest.mark.parametrize("name", ["image", "video", "document"])
@pytest.mark.parametrize("parameters", [[], ["header.{}:=id:1"]])
def test_a_variable_of_text_that_is_called_like_a_file_is_an_error(name: str, parameters: list[str]) -> None:
    """The value would go out as a picture, in a header that takes text: 132012 for everybody."""
    texts = [parameter.format(name) for parameter in parameters]
    ((severity, code, sentence),) = found(Found(template(header(f"See {{{{{name}}}}}"), body("Hi"))), *texts)
    assert (severity, code) == (Severity.ERROR, "variable_called_like_media")
    assert f"a variable called {name}" in sentence
    assert found(Found(template(media(name.upper()), body("Hi"))), f"header.{name}:=id:1") == []


def test_a_finding_about_a_variable_says_what_to_type() -> None:
    """A marketer does not know what a positional parameter is."""
    sentences = [sentence for *_, sentence in found(Found(template(header("In {{1}}"), body("Hi"), buttons(URL))))]
    assert sentences == [
        "Nothing fills the variable 1 of the header of the template: `campaign edit spring-sale --parameter "
        "header.1=COLUMN`, with the others.",
        "Nothing fills the address of button 0 of the template: `campaign edit spring-sale --parameter "
        "button.0=COLUMN`, with the others.",
    ]


def test_a_template_that_is_not_there_is_an_error() -> None:
    """132001 for everybody; most often the language is another one."""
    assert codes(Absent(())) == ["template_missing"]
    ((severity, code, sentence),) = found(Absent(("de", "en_GB")))
    assert (severity, code) == (Severity.ERROR, "language_missing")
    assert "in de, en_GB, but not in en_US: `campaign edit spring-sale --language`" in sentence


def test_not_having_looked_is_a_warning_and_having_looked_in_vain_an_error() -> None:
    """Without an account nothing else is possible; with one, what cannot be seen may be wrong."""
    assert found(NotLookedUp("set it.")) == [
        (Severity.WARNING, "template_not_looked_at", "The template could not be looked at: set it.")
    ]
    assert found(Unreadable("the network."))[0][:2] == (Severity.ERROR, "template_unreadable")


def test_people_are_named_by_their_lines() -> None:
    """Somebody has to find the rows to mend them; a phone number in a terminal helps nobody."""
    people = [ListedPerson(PHONE, "a.csv", 3), ListedPerson(PHONE, None, None)]
    missing = ValueProblem(ValueFaultKind.MISSING, "1", "name", "is empty", people)
    unusable = ValueProblem(ValueFaultKind.FORM, "2", "city", "has a tab", [ListedPerson(PHONE, "a.csv", 9)] * 1_007)
    findings = found(NotLookedUp("x."), problems=(missing, unusable))
    assert [severity for severity, *_ in findings] == [Severity.ERROR, Severity.ERROR, Severity.WARNING]
    assert "2 people of spring-sale have no value in the column 'name'" in findings[0][2]
    assert findings[0][2].endswith("They are line 3 of a.csv, somebody without a list.")
    assert "1,007 people of spring-sale" in findings[1][2]
    assert findings[1][2].endswith("line 9 of a.csv and 1,002 more; `campaign preflight spring-sale --json` has all.")
    assert not any(PHONE in sentence for *_, sentence in findings)
    assert "city has a tab. Take them out with `campaign remove`" in findings[1][2]


@pytest.mark.parametrize("kind", list(ValueFaultKind))
def test_what_is_said_to_do_for_people_works_in_the_state_of_their_campaign(kind: ValueFaultKind) -> None:
    """Adding a list again changes nobody's values, and whom an active campaign loses never comes back to it."""
    problem = ValueProblem(kind, "1", "name", "is empty", [ListedPerson(PHONE, "a.csv", 3)])
    drafted = found(NotLookedUp("x."), problems=(problem,))[0][2]
    assert "Take them out with `campaign remove`, then add them again" in drafted
    assert "`campaign edit` the parameters" in drafted
    for status in (CampaignStatus.ACTIVE, CampaignStatus.PAUSED):
        sentence = found(NotLookedUp("x."), problems=(problem,), status=status)[0][2]
        assert f"spring-sale is {status}" in sentence
        assert "make a follow-up campaign for them" in sentence
        assert "campaign remove" not in sentence
        assert "campaign edit" not in sentence


def test_the_language_that_a_campaign_wants_is_looked_for() -> None:
    """Another language of the same template has other variables."""
    english, german = template(body("Hi")), template(body("Hallo"), language="de")
    assert in_language([english, german], "de") == Found(german)
    assert in_language([english, german], "fr") == Absent(("de", "en_US"))
    assert in_language([], "fr") == Absent(())
    pattern = MessagePattern("spring_sale", "de", (), None)
    assert errors_in(findings_of(pattern, Found(german), (), "spring-sale", "draft")) == []
