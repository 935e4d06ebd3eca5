"""The registry of templates: what was created, how it stands, and whether a message fits it.

Add here a rule of Meta's about a template that exists. Keep out the routes (template_routes.py), and rules that hold
for any message (judge.py, template_components.py).
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/overview
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from campaign_pipeline.whatsapp.simulator import graph_errors
from campaign_pipeline.whatsapp.simulator.graph_errors import GraphError
from campaign_pipeline.whatsapp.simulator.judge import TemplateMessage

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
_MEDIA_FORMATS = ("IMAGE", "VIDEO", "DOCUMENT", "LOCATION")
_DEFAULT_FIELDS = ("name", "parameter_format", "components", "language", "status", "category", "id")
_FIELDS = (*_DEFAULT_FIELDS, "quality_score")

_PAUSE_TITLES = {"PAUSED": "FIRST_PAUSE", "APPROVED": "UNPAUSE", "DISABLED": "DISABLED"}


@dataclass(frozen=True)
class RegisteredTemplate:
    """One template in one language.

    Attributes:
        name: its name.
        language: its language, as `en_US`.
        category: `MARKETING`, `UTILITY` or `AUTHENTICATION`.
        parameter_format: `NAMED` or `POSITIONAL`.
        components: header, body, footer and buttons, as they were given.
        status: `APPROVED`, `PAUSED`, …
        quality: `GREEN`, `YELLOW`, `RED` or `UNKNOWN`.
    """

    name: str
    language: str
    category: str = "MARKETING"
    parameter_format: str = "POSITIONAL"
    components: list[dict[str, Any]] = field(default_factory=list)
    status: str = "APPROVED"
    quality: str = "UNKNOWN"

    @property
    def id(self) -> str:
        """Meta's id of it: digits, the same for the same name and language."""
        digest = hashlib.sha256(f"{self.name}:{self.language}".encode()).digest()[:6]
        return str(10**15 + int.from_bytes(digest))

    def as_graph(self, fields: tuple[str, ...]) -> dict[str, Any]:
        """The template as the Graph API shows it.

        Args:
            fields: what was asked for; the id comes in any case.

        Returns:
            One entry of `data`.
        """
        whole = {
            "name": self.name,
            "parameter_format": self.parameter_format,
            "components": self.components,
            "language": self.language,
            "status": self.status,
            "category": self.category,
            "quality_score": {"score": self.quality},
        }
        return {**{name: whole[name] for name in fields if name in whole}, "id": self.id}

    def component(self, kind: str) -> dict[str, Any]:
        """The component of a kind; empty if there is none."""
        return next((each for each in self.components if str(each.get("type")).upper() == kind), {})


class TemplateRegistry:
    """The templates of the business account."""

    def __init__(self, *, unknown_are_approved: bool) -> None:
        """Begins without any.

        Args:
            unknown_are_approved: whether a template that was never created can be sent.
        """
        self._unknown_are_approved = unknown_are_approved
        self._templates: dict[tuple[str, str], RegisteredTemplate] = {}

    def put(self, template: RegisteredTemplate) -> RegisteredTemplate:
        """Creates a template, or replaces the one of the same name and language."""
        self._templates[template.name, template.language] = template
        return template

    def clear(self) -> None:
        """Forgets every template."""
        self._templates.clear()

    def change(
        self, name: str, language: str | None, **changes: str
    ) -> list[tuple[RegisteredTemplate, RegisteredTemplate]]:
        """Changes status or quality of a template, in one language or in all.

        Args:
            name: the template.
            language: one of its languages; None for all.
            changes: what shall be otherwise.

        Returns:
            Each template as it was and as it is.

        Raises:
            KeyError: there is none.
        """
        found = [each for each in self._templates.values() if each.name == name and language in (None, each.language)]
        if not found:
            raise KeyError(name)
        return [(each, self.put(replace(each, **changes))) for each in found]

    def page(self, name: str | None, fields: str | None, limit: int, after: str | None) -> dict[str, Any] | GraphError:
        """One page of the list.

        Args:
            name: only templates whose name contains this.
            fields: what to show, separated by commas; None for what Meta shows by itself.
            limit: templates per page.
            after: the cursor of the page before.

        Returns:
            The body of Meta's answer, without the link to the next page, or its refusal.
        """
        wanted = _DEFAULT_FIELDS if fields is None else tuple(each.strip() for each in fields.split(","))
        for each in wanted:
            if each not in _FIELDS:
                return graph_errors.nonexisting_field(each)
        found = [each for _, each in sorted(self._templates.items()) if name is None or name in each.name]
        begin = _place_of(after)
        if begin is None:
            return graph_errors.invalid_parameter("Invalid cursors values")
        shown = found[begin : begin + limit]
        if not shown:
            return {"data": []}
        paging: dict[str, Any] = {"cursors": {"before": _cursor(begin), "after": _cursor(begin + len(shown))}}
        if begin + len(shown) < len(found):
            paging["next"] = True
        return {"data": [each.as_graph(wanted) for each in shown], "paging": paging}

    def judge(self, message: TemplateMessage) -> GraphError | None:
        """Judges a message by the template that it names.

        Args:
            message: what was judged well-formed.

        Returns:
            Meta's refusal, or None if the message fits or nobody knows the template.
        """
        template = self._templates.get((message.template, message.language))
        if template is None:
            known = any(name == message.template for name, _ in self._templates)
            if not known and self._unknown_are_approved:
                return None
            return _not_there(message)
        match template.status:
            case "APPROVED":
                return _judge_parameters(template, message.components)
            case "PAUSED":
                return graph_errors.template_paused()
            case "DISABLED":
                return graph_errors.template_disabled()
            case _:
                return _not_there(message)


def status_webhook(template: RegisteredTemplate, business_account_id: str, now: datetime) -> dict[str, Any]:
    """Builds `message_template_status_update` for the status that a template has now."""
    title = _PAUSE_TITLES.get(template.status)
    value: dict[str, Any] = {"event": template.status, **_who(template), "reason": "NONE"}
    value["message_template_category"] = template.category
    if title is not None:
        value["other_info"] = {"title": title, "description": f"The template is {template.status.lower()} now."}
    return _webhook("message_template_status_update", value, business_account_id, now)


def quality_webhook(
    before: RegisteredTemplate, template: RegisteredTemplate, business_account_id: str, now: datetime
) -> dict[str, Any]:
    """Builds `message_template_quality_update` for a template as it was and as it is."""
    scores = {"previous_quality_score": before.quality, "new_quality_score": template.quality}
    return _webhook("message_template_quality_update", {**scores, **_who(template)}, business_account_id, now)


def _who(template: RegisteredTemplate) -> dict[str, Any]:
    return {
        "message_template_id": int(template.id),
        "message_template_name": template.name,
        "message_template_language": template.language,
    }


def _webhook(name: str, value: dict[str, Any], business_account_id: str, now: datetime) -> dict[str, Any]:
    change = {"value": value, "field": name}
    entry = {"id": business_account_id, "time": int(now.timestamp()), "changes": [change]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(f"place:{place}".encode()).decode()


def _place_of(cursor: str | None) -> int | None:
    if cursor is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(cursor).decode().removeprefix("place:"))
    except (ValueError, binascii.Error):
        return None


def _not_there(message: TemplateMessage) -> GraphError:
    return graph_errors.unknown_template(f"template name ({message.template}) does not exist in {message.language}")


def _judge_parameters(template: RegisteredTemplate, components: list[object]) -> GraphError | None:
    sent = [each for each in components if isinstance(each, dict)]
    return (
        _judge_header(template, _sent(sent, "header"))
        or _judge_texts("body", template, str(template.component("BODY").get("text") or ""), _sent(sent, "body"))
        or _judge_buttons(template, [each for each in sent if str(each.get("type")).lower() == "button"])
    )


def _sent(components: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The parameters that a message gives to its header or its body."""
    found = next((each for each in components if str(each.get("type")).lower() == kind), {})
    return found.get("parameters") or []


def _judge_header(template: RegisteredTemplate, parameters: list[dict[str, Any]]) -> GraphError | None:
    header = template.component("HEADER")
    wanted = str(header.get("format") or "").upper()
    if wanted not in _MEDIA_FORMATS:
        return _judge_texts("header", template, str(header.get("text") or ""), parameters)
    received = str(parameters[0].get("type")).upper() if parameters else "UNKNOWN"
    if received != wanted:
        return graph_errors.parameter_format(f"header: Format mismatch, expected {wanted}, received {received}")
    return None


def _judge_texts(
    where: str, template: RegisteredTemplate, text: str, parameters: list[dict[str, Any]]
) -> GraphError | None:
    """Judges the values of a text: as many as it has variables, and by name exactly if the template is a named one."""
    wanted = list(dict.fromkeys(_VARIABLE.findall(text)))
    if len(parameters) != len(wanted):
        return graph_errors.parameter_count(
            f"{where}: number of localizable_params ({len(parameters)}) does not match the expected number of params "
            f"({len(wanted)})"
        )
    names = [parameter.get("parameter_name") for parameter in parameters]
    if template.parameter_format.upper() == "NAMED":
        missing = [name for name in wanted if name not in names]
        if missing:
            return graph_errors.parameter_format(f"{where}: Parameter name is missing or empty: {', '.join(missing)}")
    elif any(name is not None for name in names):
        return graph_errors.parameter_format(f"{where}: the template is positional, and a parameter has a name")
    if any(parameter.get("type") != "text" for parameter in parameters):
        return graph_errors.parameter_format(f"{where}: expected parameters of type text")
    return None


def _judge_buttons(template: RegisteredTemplate, sent: list[dict[str, Any]]) -> GraphError | None:
    buttons = template.component("BUTTONS").get("buttons") or []
    given: dict[int, dict[str, Any]] = {int(str(each.get("index"))): each for each in sent}
    for index, component in given.items():
        kind = str(buttons[index].get("type")).lower() if index < len(buttons) else None
        if kind != str(component.get("sub_type")).lower():
            details = f"buttons: Button at index {index} is of type {kind}, not {component.get('sub_type')}"
            return graph_errors.parameter_format(details)
    for index, button in enumerate(buttons):
        kind = str(button.get("type")).upper()
        needs_value = kind == "COPY_CODE" or (kind == "URL" and bool(_VARIABLE.search(str(button.get("url")))))
        parameters = given.get(index, {}).get("parameters") or []
        if needs_value and not parameters:
            details = f"buttons: Button at index {index} of type {kind.title()} requires a parameter"
            return graph_errors.parameter_missing(details)
        if kind == "URL" and not needs_value and parameters:
            return graph_errors.parameter_count(f"buttons: Button at index {index} of type Url takes no parameter")
    return None
