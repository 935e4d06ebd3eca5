"""The preflight: whether a campaign's messages would be taken, before the first of them is sent.

Add here a reason for which WhatsApp would refuse a whole campaign, or some people of it. Everything is pure.
Keep out the calls to the Graph API and the ledger: what they have shown comes in as arguments.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from campaign_pipeline.campaigns.message_pattern import MessagePattern
from campaign_pipeline.campaigns.template_lookup import Absent, Found, NotLookedUp, TemplateLookup, Unreadable
from campaign_pipeline.campaigns.templates import FILENAME, HEADER_MEDIA, TemplateParameter
from campaign_pipeline.campaigns.value_problems import ValueProblem
from campaign_pipeline.campaigns.values import ValueFaultKind
from campaign_pipeline.ledger.states import CampaignStatus
from campaign_pipeline.whatsapp.templates import APPROVED, MARKETING, Template, TemplateVariable, VariableKind

FIRST: Final = 5
"""So many people are named in a sentence, of those who share a problem."""


class Severity(StrEnum):
    """What a finding means for the activation."""

    ERROR = "error"
    """It is refused."""
    WARNING = "warning"
    """A person should know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        severity: Whether it refuses the activation.
        code: What programs call it.
        sentence: What it is, and what to do.
    """

    severity: Severity
    code: str
    sentence: str

    def as_dict(self) -> dict[str, str]:
        """The finding by name."""
        return {name: str(value) for name, value in asdict(self).items()}


_WHAT_TO_DO: Final = {
    "PAUSED": "Meta holds it for low quality: wait until it is taken up again, or unpause it in WhatsApp Manager",
    "DISABLED": "Meta has switched it off for good: choose another with `campaign edit --template`",
    "PENDING": "Meta is still looking at it: try again when it is approved",
    "IN_APPEAL": "Meta is looking at the appeal: try again when it is approved",
    "REJECTED": "Meta has refused it: mend it in WhatsApp Manager and wait for approval",
}
_OTHERWISE: Final = "look at it in WhatsApp Manager; only an approved template can be sent"

_OF_QUALITY: Final = {
    "YELLOW": "people read it less or block it more, and Meta may pause it: watch the first day's figures",
    "RED": "people block or report it, and Meta is about to pause it: send another, or mend it first",
}
"""Source: developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-quality."""

_SUFFIX_OF_KIND: Final = {VariableKind.PAYLOAD: "payload", VariableKind.COPY_CODE: "code"}


def findings_of(
    pattern: MessagePattern, lookup: TemplateLookup, problems: Sequence[ValueProblem], campaign: str, status: str
) -> list[Finding]:
    """Everything that was found, the errors first.

    Args:
        pattern: The campaign's template and parameters.
        lookup: What Meta has shown.
        problems: The people whose values cannot be sent.
        campaign: The campaign's slug, for the commands that are named.
        status: The campaign's: what can be done for its people depends on it.
    """
    found = [*template_findings(pattern, lookup, campaign), *_about_people(problems, campaign, status)]
    return sorted(found, key=lambda finding: finding.severity is not Severity.ERROR)


def errors_in(findings: Sequence[Finding]) -> list[Finding]:
    """Those that refuse an activation."""
    return [finding for finding in findings if finding.severity is Severity.ERROR]


def template_findings(pattern: MessagePattern, lookup: TemplateLookup, campaign: str) -> list[Finding]:
    """What the template itself makes of it, whoever the people are."""
    match lookup:
        case NotLookedUp(reason):
            return [_warning("template_not_looked_at", f"The template could not be looked at: {reason}")]
        case Unreadable(reason):
            return [_error("template_unreadable", f"The template could not be looked at: {reason}")]
        case Absent(languages):
            return [_absent(pattern, languages, campaign)]
        case Found(template):
            return [
                *_about_state(template),
                *_about_parts(template),
                *_about_variables(pattern.parameters, template, campaign),
            ]


def _absent(pattern: MessagePattern, languages: Sequence[str], campaign: str) -> Finding:
    name = pattern.template_name
    if languages:
        return _error(
            "language_missing",
            f"Meta has the template {name} in {', '.join(languages)}, but not in {pattern.language}: "
            f"`campaign edit {campaign} --language`, or add that language in WhatsApp Manager.",
        )
    return _error(
        "template_missing",
        f"Meta has no template {name} in this business account: `campaign edit {campaign} --template`, or make it in "
        "WhatsApp Manager.",
    )


def _about_state(template: Template) -> Iterator[Finding]:
    if template.status != APPROVED:
        what = _WHAT_TO_DO.get(template.status, _OTHERWISE)
        state = template.status or "in no state that Meta tells"
        yield _error("template_not_approved", f"The template {template.name} is {state}, not approved: {what}.")
    if template.quality in _OF_QUALITY:
        yield _warning(
            "template_quality",
            f"The quality of the template {template.name} is {template.quality}: {_OF_QUALITY[template.quality]}.",
        )
    if template.category != MARKETING:
        category = template.category or "of no category that Meta tells"
        yield _warning(
            "category_not_marketing",
            f"The template {template.name} is {category}, not MARKETING: Meta may change its category, with its price "
            "and its rules, when it is used for a campaign.",
        )


def _about_parts(template: Template) -> Iterator[Finding]:
    for part in template.beyond_us():
        yield _error(
            "part_not_supported",
            f"The template {template.name} has {part}, which no campaign can fill: choose a template without it.",
        )


def _about_variables(parameters: Sequence[TemplateParameter], template: Template, campaign: str) -> Iterator[Finding]:
    variables = {variable.name: variable for variable in template.variables()}
    filled = {_variable_of(parameter) for parameter in parameters}
    for variable in variables.values():
        if _is_called_like_media(variable):
            yield _error(
                "variable_called_like_media",
                f"The header of the template is a text with a variable called {variable.name.removeprefix('header.')}, "
                f"and {variable.name} stands for a file in the header: no campaign can fill it. Give the variable "
                "another name in WhatsApp Manager.",
            )
        elif variable.required and variable.name not in filled:
            yield _error(
                "variable_without_parameter",
                f"Nothing fills {_in_words(variable)} of the template: `campaign edit {campaign} --parameter "
                f"{variable.name}=COLUMN`, with the others.",
            )
    for parameter in parameters:
        variable = variables.get(_variable_of(parameter))
        if variable is None:
            has = ", ".join(variables) or "no variable"
            yield _error(
                "parameter_without_variable",
                f"The template has nothing for the parameter {parameter.name} to fill (it has {has}): leave it out "
                f"with `campaign edit {campaign}`.",
            )
        elif not _is_called_like_media(variable) and not _fits(parameter, variable):
            yield _error(
                "parameter_of_another_kind",
                f"The parameter {parameter.name} is not for {_in_words(variable)}: write {variable.name}=COLUMN.",
            )


def _variable_of(parameter: TemplateParameter) -> str:
    """The name of the variable that a parameter is for: a document's name goes with the document."""
    if parameter.name == FILENAME:
        return "header.document"
    index = parameter.button_index
    return parameter.name if index is None else f"button.{index}"


def _is_called_like_media(variable: TemplateVariable) -> bool:
    """Whether what would fill the variable is sent as a file, and refused by Meta for everybody."""
    return variable.kind is VariableKind.TEXT and variable.name in HEADER_MEDIA


def _fits(parameter: TemplateParameter, variable: TemplateVariable) -> bool:
    """Whether a parameter of a button names the kind of button that stands there, if it names one."""
    if parameter.button_index is None or parameter.name == variable.name:
        return True
    return parameter.name == f"{variable.name}.{_SUFFIX_OF_KIND.get(variable.kind)}"


def _in_words(variable: TemplateVariable) -> str:
    if variable.name.startswith("button."):
        kinds = {VariableKind.URL: "address", VariableKind.PAYLOAD: "payload", VariableKind.COPY_CODE: "code"}
        return f"the {kinds[variable.kind]} of button {variable.name.removeprefix('button.')}"
    if variable.kind is not VariableKind.TEXT:
        return f"the {variable.kind} of the header"
    where, _, name = variable.name.rpartition(".")
    return f"the variable {name} of the {where or 'body'}"


def _about_people(problems: Sequence[ValueProblem], campaign: str, status: str) -> Iterator[Finding]:
    advice = _advice_for_people(campaign, status)
    for problem in problems:
        people = _named(problem, campaign)
        count = f"{len(problem.people):,} people of {campaign}"
        if problem.kind is ValueFaultKind.MISSING:
            sentence = (
                f"{count} have no value in the column {problem.source!r}, which fills "
                f"the template's {problem.parameter}. {advice} They are {people}."
            )
        else:
            sentence = (
                f"{count} have a value for the template's {problem.parameter} that "
                f"cannot be sent: {problem.source} {problem.detail}. {advice} They are {people}."
            )
        yield _error(problem.kind.value, sentence)


def _named(problem: ValueProblem, campaign: str) -> str:
    first = ", ".join(map(str, problem.people[:FIRST]))
    rest = len(problem.people) - FIRST
    return f"{first} and {rest:,} more; `campaign preflight {campaign} --json` has all" if rest > 0 else first


def _advice_for_people(campaign: str, status: str) -> str:
    """What helps: values are frozen when somebody is added, and only a draft forgets whom it has lost."""
    if status == CampaignStatus.DRAFT:
        return (
            "Take them out with `campaign remove`, then add them again from a list that is mended (adding alone "
            "changes nothing), or `campaign edit` the parameters."
        )
    return (
        f"{campaign} is {status}, so neither they nor its parameters can be mended here: make a follow-up campaign for "
        "them, with a list that is mended."
    )


def _error(code: str, sentence: str) -> Finding:
    return Finding(Severity.ERROR, code, sentence)


def _warning(code: str, sentence: str) -> Finding:
    return Finding(Severity.WARNING, code, sentence)
