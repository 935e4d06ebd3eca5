"""Judges the components of a template message: headers, bodies and buttons with their parameters.

Add here a rule of Meta's about a component or a parameter. Keep out the message around them (judge.py).
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/overview
"""

import re

from campaign_pipeline.whatsapp.simulator import graph_errors
from campaign_pipeline.whatsapp.simulator.graph_errors import GraphError

# What Meta says about the text of a parameter: no new lines, no tabs, no more than four spaces in a row.
_TEXT_THAT_META_REFUSES = re.compile(r"[\r\n\t]| {5}")

_COMPONENT_TYPES = frozenset({"header", "body", "button", "carousel", "limited_time_offer"})
_MEDIA = frozenset({"image", "video", "document"})
_BUTTON_KINDS = frozenset({"quick_reply", "url", "copy_code", "flow", "catalog", "mpm", "voice_call"})
_BUTTON_INDEX = re.compile(r"[0-9]")  # ten buttons at most


def judge_components(components: object) -> GraphError | None:
    """Judges `template.components`.

    Args:
        components: what the request holds there; a template without variables needs none.

    Returns:
        Meta's refusal, or None if nothing is wrong.
    """
    if components is None:
        return None
    if not isinstance(components, list):
        return graph_errors.invalid_parameter("Param template['components'] must be an array.")
    for position, component in enumerate(components):
        where = f"template['components'][{position}]"
        if (error := _judge_component(component, where)) is not None:
            return error
    return None


def _judge_component(component: object, where: str) -> GraphError | None:
    if not isinstance(component, dict):
        return graph_errors.invalid_parameter(f"Param {where} must be an object.")
    kind = component.get("type")
    if not isinstance(kind, str) or kind.lower() not in _COMPONENT_TYPES:
        return graph_errors.invalid_parameter(f"Param {where}['type'] must be one of {sorted(_COMPONENT_TYPES)}.")
    parameters = component.get("parameters", [])
    if not isinstance(parameters, list) or not all(isinstance(parameter, dict) for parameter in parameters):
        return graph_errors.invalid_parameter(f"Param {where}['parameters'] must be an array of objects.")
    match kind.lower():
        case "body":
            return _judge_body(parameters)
        case "header":
            return _judge_header(parameters)
        case "button":
            return _judge_button(component, parameters, where)
        case _:
            return None


def _judge_body(parameters: list[dict[str, object]]) -> GraphError | None:
    for number, parameter in enumerate(parameters, start=1):
        if parameter.get("type") != "text":
            return graph_errors.parameter_format(f"body: parameter {number} must be of type text.")
        if (error := _judge_text(parameter, f"body: parameter {number}")) is not None:
            return error
    return _judge_names(parameters)


def _judge_text(parameter: dict[str, object], where: str) -> GraphError | None:
    text = parameter.get("text")
    if not isinstance(text, str) or not text:
        return graph_errors.parameter_format(f"{where}: text must not be empty.")
    if _TEXT_THAT_META_REFUSES.search(text):
        details = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
        return graph_errors.parameter_format(f"{where}: {details}")
    return None


def _judge_names(parameters: list[dict[str, object]]) -> GraphError | None:
    names = [parameter.get("parameter_name") for parameter in parameters]
    named = [name for name in names if name is not None]
    if named and len(named) != len(names):
        return graph_errors.parameter_count("body: named and positional parameters cannot be mixed.")
    if not all(isinstance(name, str) and name for name in named):
        return graph_errors.parameter_format("body: parameter_name must be a text that is not empty.")
    if len({str(name) for name in named}) != len(named):
        return graph_errors.parameter_count("body: two parameters have the same parameter_name.")
    return None


def _judge_header(parameters: list[dict[str, object]]) -> GraphError | None:
    for parameter in parameters:
        kind = parameter.get("type")
        if kind == "text":
            if (error := _judge_text(parameter, "header")) is not None:
                return error
        elif kind in _MEDIA:
            media = parameter.get(str(kind))
            if not isinstance(media, dict) or not (media.get("id") or media.get("link")):
                return graph_errors.parameter_format(f"header: {kind} needs an id or a link.")
        elif kind == "location":
            if not isinstance(parameter.get("location"), dict):
                return graph_errors.parameter_format("header: location must be an object.")
        else:
            return graph_errors.parameter_format(f"header: {kind!r} is not a type of parameter.")
    return None


def _judge_button(component: dict[str, object], parameters: list[dict[str, object]], where: str) -> GraphError | None:
    sub_type = component.get("sub_type")
    if not isinstance(sub_type, str) or sub_type.lower() not in _BUTTON_KINDS:
        return graph_errors.parameter_value(f"Param {where}['sub_type'] must be one of {sorted(_BUTTON_KINDS)}.")
    if not _BUTTON_INDEX.fullmatch(str(component.get("index"))):
        return graph_errors.parameter_value(f"Param {where}['index'] must be a number from 0 to 9.")
    for parameter in parameters:
        if parameter.get("type") == "text" and (error := _judge_text(parameter, "button")) is not None:
            return error
    return None
