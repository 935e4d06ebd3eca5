"""Commands about a campaign's template: preflight, test-send.

Add here a command that asks Meta for a template, or sends one to somebody who is named.
Keep out what is found (`campaigns.preflight`) and how a test is sent (`sending.test_sends`).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import CampaignArgument, JsonOption, RegionOption, YesOption
from campaign_pipeline.interfaces.command_line.context import Workplace, workplace_of

if TYPE_CHECKING:
    from campaign_pipeline.campaigns.catalogue import Campaign
    from campaign_pipeline.campaigns.message_pattern import MessagePattern
    from campaign_pipeline.campaigns.preflight import Finding
    from campaign_pipeline.campaigns.template_lookup import TemplateLookup
    from campaign_pipeline.campaigns.value_problems import ValueProblem
    from campaign_pipeline.recipients.phone_numbers import PhoneNumber
    from campaign_pipeline.whatsapp.account import CloudApiAccount
    from campaign_pipeline.whatsapp.messages import TemplateMessage

PANEL = "Campaigns"

SHOWN: Final = 3
"""Messages that the preflight shows."""

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign preflight spring-sale")
def preflight(ctx: typer.Context, campaign: CampaignArgument, as_json: JsonOption = False) -> None:
    """Look whether WhatsApp would take a campaign's messages, and show the first of them; exit status 1 if not."""
    from campaign_pipeline.campaigns.preflight import errors_in, findings_of
    from campaign_pipeline.campaigns.value_problems import first_messages, value_problems

    workplace = workplace_of(ctx)
    found, lookup = _looked_up(workplace, campaign)
    with workplace.ledger.read() as connection:
        problems = value_problems(connection, found.id, found.pattern)
        messages = first_messages(connection, found.id, found.pattern, SHOWN)
    findings = findings_of(found.pattern, lookup, problems, found.slug, found.status)
    if as_json:
        output.print_json(_document(found, findings, problems, messages))
    else:
        _tell(workplace, found, findings, messages)
    if errors_in(findings):
        raise typer.Exit(1)


@commands.command(
    "test-send",
    rich_help_panel=PANEL,
    epilog="Example: campaign test-send spring-sale '+44 7911 123456' --value first_name=Ada",
)
def send_tests(
    ctx: typer.Context,
    campaign: CampaignArgument,
    phones: Annotated[list[str], typer.Argument(metavar="PHONE...", help="To these people and nobody else.")],
    value: Annotated[
        list[str] | None,
        typer.Option("--value", metavar="NAME=TEXT", help="What fills a parameter; else as for the first in the list."),
    ] = None,
    region: RegionOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send a campaign's message to people who are named, as a test: outside its audience, within the 24-hour limit."""
    from campaign_pipeline.campaigns.value_problems import PREVIEW_ID
    from campaign_pipeline.sending.test_sends import values_for_test

    workplace = workplace_of(ctx)
    account = workplace.settings.account
    given = _values(value or [])
    people = _once_each([workplace.phone(phone, region) for phone in phones])
    found, lookup = _looked_up(workplace, campaign)
    with workplace.ledger.read() as connection:
        values = values_for_test(connection, found, given)
    for finding in _about_template(found, lookup):
        output.remark(f"{finding.severity.capitalize()}: {finding.sentence}")
    pattern, columns = values
    output.remark(_as_seen(found, pattern.message(people[0].e164, columns, PREVIEW_ID)))
    if not yes:
        to = ", ".join(_masked(person.e164) for person in people)
        typer.confirm(f"Send this as a test to {to}?", abort=True, err=True)
    results = _send_each(workplace, account, found, people, values, tell=output.remark if as_json else output.say)
    if as_json:
        output.print_json(results)
    if not all(result["outcome"] == "accepted" for result in results):
        raise typer.Exit(1)


def _looked_up(workplace: Workplace, campaign: str) -> "tuple[Campaign, TemplateLookup]":
    """The campaign and what Meta shows of its template, which is kept on it."""
    from campaign_pipeline.campaigns.kept_template import keep_template
    from campaign_pipeline.campaigns.template_lookup import Found
    from campaign_pipeline.interfaces.activation import look_up

    found = _find(workplace, campaign)
    lookup = look_up(workplace.settings, found)
    if isinstance(lookup, Found):
        with workplace.ledger.write() as connection:
            found = keep_template(connection, found, lookup.template, workplace.clock())
    return found, lookup


def _find(workplace: Workplace, campaign: str) -> "Campaign":
    from campaign_pipeline.campaigns import catalogue

    with workplace.ledger.read() as connection:
        return catalogue.find(connection, campaign)


def _about_template(campaign: "Campaign", lookup: "TemplateLookup") -> "list[Finding]":
    from campaign_pipeline.campaigns.preflight import template_findings

    return template_findings(campaign.pattern, lookup, campaign.slug)


def _send_each(
    workplace: Workplace,
    account: "CloudApiAccount",
    campaign: "Campaign",
    people: "Sequence[PhoneNumber]",
    values: "tuple[MessagePattern, dict[str, str]]",
    tell: Callable[[str], None],
) -> list[dict[str, object]]:
    """Sends to one after the other, and says of each what became of it."""
    from contextlib import closing

    from campaign_pipeline.sending.errors import CannotSendError
    from campaign_pipeline.sending.test_sends import TestSendTerms, send_test
    from campaign_pipeline.whatsapp.account import cloud_api_of
    from campaign_pipeline.whatsapp.client import CloudApiClient

    settings = workplace.settings
    terms = TestSendTerms(cloud_api_of(settings.whatsapp_base_url), settings.sender_limit, workplace.actor)
    results: list[dict[str, object]] = []
    with closing(CloudApiClient(account, connections=1)) as client:
        for place, person in enumerate(people, 1):
            try:
                sent = send_test(workplace.ledger, client, campaign, person, values, terms, workplace.clock)
            except CannotSendError as error:
                sentence = f"{_masked(person.e164)}: not sent. {error.told(settings.calendar)}"
                results.append({"phone": _masked(person.e164), "outcome": "not_tried", "sentence": sentence})
                ends_all = False
            else:
                document = {"test_send_id": sent.test_send_id, "phone": sent.phone, "outcome": sent.outcome}
                known = {"wamid": sent.answer.wamid, "error_code": sent.answer.error_code}
                results.append({**document, **known, "sentence": sent.sentence})
                ends_all = sent.ends_all
            tell(str(results[-1]["sentence"]))
            if ends_all:
                results += [_not_tried(each, tell) for each in people[place:]]
                break
    return results


def _not_tried(person: "PhoneNumber", tell: Callable[[str], None]) -> dict[str, object]:
    """Says of one of those behind an answer that stops everything that nothing was sent."""
    sentence = f"{_masked(person.e164)}: not sent, since the sender is stopped."
    tell(sentence)
    return {"phone": _masked(person.e164), "outcome": "not_tried", "sentence": sentence}


def _document(
    campaign: "Campaign",
    findings: "Sequence[Finding]",
    problems: "Sequence[ValueProblem]",
    messages: "Sequence[TemplateMessage]",
) -> dict[str, object]:
    template = campaign.template
    shown = None
    if template is not None:
        shown = {
            "id": template.template_id,
            "name": template.name,
            "language": template.language,
            "status": template.status,
            "category": template.category,
            "quality": template.quality,
            "version": template.version,
            "variables": [asdict(variable) for variable in template.variables()],
        }
    return {
        "campaign": campaign.slug,
        "ok": not any(finding.severity == "error" for finding in findings),
        "template": shown,
        "template_checked_at": campaign.template_checked_at,
        "findings": [finding.as_dict() for finding in findings],
        "value_problems": [_listed(problem) for problem in problems],
        "preview": [_previewed(campaign, message) for message in messages],
    }


def _listed(problem: "ValueProblem") -> dict[str, object]:
    people = [
        {"phone": _masked(person.phone), "list": person.list_name, "line_number": person.line_number}
        for person in problem.people
    ]
    return {
        "code": problem.kind,
        "parameter": problem.parameter,
        "source": problem.source,
        "detail": problem.detail,
        "people": people,
    }


def _previewed(campaign: "Campaign", message: "TemplateMessage") -> dict[str, object]:
    rendered = campaign.pattern.rendered(message)
    return {
        "to": _masked(message.to),
        "message": None if rendered is None else asdict(rendered),
        "components": message.as_request()["template"].get("components", []),
    }


def _tell(
    workplace: Workplace,
    campaign: "Campaign",
    findings: "Sequence[Finding]",
    messages: "Sequence[TemplateMessage]",
) -> None:
    facts: dict[str, object] = {"campaign": campaign.slug}
    facts["template"] = f"{campaign.template_name} ({campaign.template_language})"
    if campaign.template is not None:
        template = campaign.template
        quality = f", quality {template.quality}" if template.quality else ""
        facts["at Meta"] = f"{template.status}, {template.category}{quality}, version {template.version}"
        facts["read"] = workplace.local(campaign.template_checked_at)
    output.print_facts(facts)
    for finding in findings:
        output.say(f"{finding.severity.capitalize()}: {finding.sentence}")
    if not findings:
        output.say("Nothing is wrong.")
    for message in messages:
        output.say(f"\nTo {_masked(message.to)}:")
        output.say(_as_seen(campaign, message))


def _as_seen(campaign: "Campaign", message: "TemplateMessage") -> str:
    """The message as the person would see it, or what fills it while nobody knows the template."""
    rendered = campaign.pattern.rendered(message)
    text = output.to_json(message.as_request()["template"]) if rendered is None else rendered.as_text()
    return "\n".join(f"  | {output.harmless(line)}" for line in text.split("\n"))


def _values(texts: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            message = f"a value is written NAME=TEXT, as in first_name=Ada, not {text!r}."
            raise typer.BadParameter(message)
        values[name.strip()] = value
    return values


def _once_each(people: "Sequence[PhoneNumber]") -> "list[PhoneNumber]":
    return list({person.person_key: person for person in people}.values())


def _masked(phone: str) -> str:
    from campaign_pipeline.recipients.phone_numbers import mask_phone

    return mask_phone(phone)
