"""Judges a request to send as Meta's messages endpoint would: accepted, or refused with the proper Graph error.

Add here a rule of Meta's about a message, with its error code. Keep out files, clocks, faults, and the parameters
of components (template_components.py): the same request gets the same judgement, whatever came before it.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
"""

import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from campaign_pipeline.whatsapp.simulator import graph_errors
from campaign_pipeline.whatsapp.simulator.graph_errors import GraphError
from campaign_pipeline.whatsapp.simulator.template_components import judge_components

_VERSION = re.compile(r"v[0-9]{1,2}\.[0-9]")
_TO = re.compile(r"\+[1-9][0-9]{6,14}")  # E.164; without the plus Meta prepends the sender's own country code
_TEMPLATE_NAME = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE_CODE = re.compile(r"[a-z]{2,3}(_[A-Z]{2,3})?")
_CALLBACK_DATA_CHARACTERS = 512


@dataclass(frozen=True)
class SendRequest:
    """One HTTP request to the messages endpoint, as it came.

    Attributes:
        version: first part of the path.
        phone_number_id: second part of the path.
        authorization: the header of that name, if any.
        body: the raw bytes.
    """

    version: str
    phone_number_id: str
    authorization: str | None
    body: bytes


@dataclass(frozen=True)
class TemplateMessage:
    """What an accepted request asks to send.

    Attributes:
        to: the recipient as it was given, E.164 with its plus.
        template: name of the template.
        language: code of its language.
        components: the template's components as they were given.
        biz_opaque_callback_data: the sender's own id for this message, if any.
    """

    to: str
    template: str
    language: str
    components: list[object]
    biz_opaque_callback_data: str | None


def judge(request: SendRequest, phone_number_id: str, access_token: str) -> TemplateMessage | GraphError:
    """Judges one request to send a message.

    Args:
        request: the request as it came.
        phone_number_id: the business phone number that may send.
        access_token: the token that is let in.

    Returns:
        The message to send, or Meta's refusal.
    """
    if (error := judge_caller(request.version, request.authorization, access_token)) is not None:
        return error
    if request.phone_number_id != phone_number_id:
        return graph_errors.unknown_phone_number(request.phone_number_id)
    try:
        payload = json.loads(request.body)
    except ValueError as problem:
        return graph_errors.invalid_parameter(f"The body is not JSON: {problem}")
    if not isinstance(payload, dict):
        return graph_errors.invalid_parameter("The body must be a JSON object.")
    return _judge_payload(payload)


def judge_caller(version: str, authorization: str | None, access_token: str) -> GraphError | None:
    """Judges who calls, and which version of the API.

    Args:
        version: first part of the path.
        authorization: the header of that name, if any.
        access_token: the token that is let in.

    Returns:
        Meta's refusal, or None if the caller is let in.
    """
    if not _VERSION.fullmatch(version):
        return graph_errors.unknown_path(version)
    if not hmac.compare_digest((authorization or "").encode(), f"Bearer {access_token}".encode()):
        return graph_errors.not_authenticated()
    return None


def _judge_payload(payload: dict[str, object]) -> TemplateMessage | GraphError:
    rules: tuple[Callable[[dict[str, object]], GraphError | None], ...] = (
        _judge_product,
        _judge_to,
        _judge_type,
        _judge_callback_data,
    )
    for rule in rules:
        if (error := rule(payload)) is not None:
            return error
    template = payload.get("template")
    if not isinstance(template, dict):
        return graph_errors.parameter_missing("Param template is required for a message of type template.")
    language = template.get("language")
    code = language.get("code") if isinstance(language, dict) else None
    error = _judge_template(template.get("name"), code) or judge_components(template.get("components"))
    if error is not None:
        return error
    data = payload.get("biz_opaque_callback_data")
    return TemplateMessage(
        to=str(payload["to"]),
        template=str(template["name"]),
        language=str(code),
        components=list(template.get("components") or []),
        biz_opaque_callback_data=None if data is None else str(data),
    )


def _judge_product(payload: dict[str, object]) -> GraphError | None:
    product = payload.get("messaging_product")
    if product is None:
        return graph_errors.invalid_parameter("The parameter messaging_product is required.")
    if product != "whatsapp":
        return graph_errors.invalid_parameter("Param messaging_product must be one of {WHATSAPP}.")
    return None


def _judge_to(payload: dict[str, object]) -> GraphError | None:
    to = payload.get("to")
    if to is None or to == "":
        return graph_errors.to_is_missing()
    if not isinstance(to, str) or not _TO.fullmatch(to):
        return graph_errors.invalid_parameter(
            "Param to must be a phone number with a leading + and its country code, 7 to 15 digits. Without the + the "
            "country code of the business number is put in front, and the message may reach someone else."
        )
    if payload.get("recipient_type", "individual") != "individual":
        return graph_errors.invalid_parameter("Param recipient_type must be individual to send to a phone number.")
    return None


def _judge_type(payload: dict[str, object]) -> GraphError | None:
    message_type = payload.get("type")
    return None if message_type == "template" else graph_errors.unsupported_message_type(message_type)


def _judge_callback_data(payload: dict[str, object]) -> GraphError | None:
    data = payload.get("biz_opaque_callback_data")
    if data is None:
        return None
    if not isinstance(data, str):
        return graph_errors.invalid_parameter("Param biz_opaque_callback_data must be a string.")
    if len(data) > _CALLBACK_DATA_CHARACTERS:
        details = f"Param biz_opaque_callback_data must be at most {_CALLBACK_DATA_CHARACTERS} characters long."
        return graph_errors.invalid_parameter(details)
    return None


def _judge_template(name: object, code: object) -> GraphError | None:
    if name is None:
        return graph_errors.parameter_missing("Param template['name'] is required.")
    if code is None:
        return graph_errors.parameter_missing("Param template['language']['code'] is required.")
    if not isinstance(name, str) or not _TEMPLATE_NAME.fullmatch(name):
        return graph_errors.unknown_template("A template's name is 1 to 512 of a-z, 0-9 and _.")
    if not isinstance(code, str) or not _LANGUAGE_CODE.fullmatch(code):
        return graph_errors.unknown_template(f"template name ({name}) does not exist in {code!r}")
    return None
