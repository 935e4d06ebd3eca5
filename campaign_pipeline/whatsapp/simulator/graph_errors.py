"""Refusals in the words of Meta's Graph API: the envelope, and one constructor for each error the simulator gives.

Add here an error that Meta documents, with its code and HTTP status. Keep out when it is given: judge.py, faults.py.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from campaign_pipeline.whatsapp.simulator.error_table import words_for


@dataclass(frozen=True)
class GraphError:
    """One refusal as Meta words it.

    Attributes:
        http_status: status of the HTTP answer.
        code: Meta's error code, the only part that a caller should branch on.
        message: Meta's short text.
        details: what is wrong with this request; None leaves `error_data` out, as Meta does for some errors.
        error_type: Meta's `type`.
        subcode: Meta's `error_subcode`, if any.
    """

    http_status: int
    code: int
    message: str
    details: str | None = None
    error_type: str = "OAuthException"
    subcode: int | None = None

    def envelope(self, trace: str) -> dict[str, Any]:
        """Builds the JSON body of the answer.

        Args:
            trace: anything that tells this answer from others; it ends up, hashed, in `fbtrace_id`.

        Returns:
            `{"error": {...}}` as Meta sends it.
        """
        error: dict[str, object] = {"message": self.message, "type": self.error_type, "code": self.code}
        if self.details is not None:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        error["fbtrace_id"] = "A" + hashlib.sha256(trace.encode()).hexdigest()[:22]
        return {"error": error}


def unknown_path(version: str) -> GraphError:
    """A version that is not spelled vNN.N."""
    return GraphError(400, 2500, f"Unknown path components: /{version}")


def not_authenticated() -> GraphError:
    """A missing or wrong access token."""
    return GraphError(
        401, 190, "Invalid OAuth access token - Cannot parse access token", "The access token is missing or not valid."
    )


def token_expired() -> GraphError:
    """An access token whose time is over."""
    message = "Error validating access token: Session has expired on Thursday, 01-Jan-26 00:00:00 PST."
    return GraphError(401, 190, message, subcode=463)


def no_permission() -> GraphError:
    """An object that the token's permissions do not cover."""
    return GraphError(403, 200, "(#200) You do not have the necessary permissions required to send this request")


def nonexisting_field(name: str) -> GraphError:
    """A field that an object does not have."""
    return GraphError(400, 100, f"(#100) Tried accessing nonexisting field ({name})")


def unknown_object(node_id: str) -> GraphError:
    """An id that the token cannot see."""
    message = (
        f"Unsupported get request. Object with ID '{node_id}' does not exist, cannot be loaded due to missing "
        "permissions, or does not support this operation."
    )
    return GraphError(400, 100, message, error_type="GraphMethodException", subcode=33)


def unknown_phone_number(phone_number_id: str) -> GraphError:
    """A business phone number that the token cannot see."""
    return GraphError(
        400,
        100,
        f"Unsupported post request. Object with ID '{phone_number_id}' does not exist, cannot be loaded due to missing "
        "permissions, or does not support this operation.",
        "The phone number id in the path is not one of this business.",
        error_type="GraphMethodException",
        subcode=33,
    )


def invalid_parameter(details: str) -> GraphError:
    """A parameter that Meta does not take as it stands."""
    return GraphError(400, 100, "(#100) Invalid parameter", details)


def to_is_missing() -> GraphError:
    """A message without `to`; Meta's own sample of this answer has no `error_data`."""
    return GraphError(400, 100, "The parameter to is required.")


def parameter_missing(details: str) -> GraphError:
    """A parameter that this kind of message needs and that is not there."""
    return GraphError(400, 131008, "(#131008) Required parameter is missing", details)


def parameter_value(details: str) -> GraphError:
    """A parameter that has a value outside those that Meta knows."""
    return GraphError(400, 131009, "(#131009) Parameter value is not valid", details)


def unsupported_message_type(message_type: object) -> GraphError:
    """Any other message than a template."""
    details = f"Message type {message_type!r}: this local Cloud API sends messages of type template."
    return GraphError(400, 131051, "(#131051) Unsupported message type", details)


def unknown_template(details: str) -> GraphError:
    """A template name or language that cannot exist."""
    return GraphError(404, 132001, "(#132001) Template name does not exist in the translation", details)


def parameter_count(details: str) -> GraphError:
    """Parameters that do not match the template's."""
    message = "(#132000) Number of parameters does not match the expected number of params"
    return GraphError(400, 132000, message, details)


def parameter_format(details: str) -> GraphError:
    """A parameter of a component whose form or text Meta does not take."""
    message = "(#132012) Parameter format does not match format in the created template"
    return GraphError(400, 132012, message, details)


def template_paused() -> GraphError:
    """A template that Meta holds for its low quality."""
    return GraphError(400, 132015, "(#132015) Template is paused", "The template is paused due to low quality.")


def template_disabled() -> GraphError:
    """A template that Meta has switched off for good."""
    return GraphError(400, 132016, "(#132016) Template is disabled", "The template is disabled due to low quality.")


def unknown_business_account(business_account_id: str) -> GraphError:
    """A business account that the token cannot see."""
    return GraphError(
        400,
        100,
        f"Unsupported get request. Object with ID '{business_account_id}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation.",
        error_type="GraphMethodException",
        subcode=33,
    )


def throughput_reached() -> GraphError:
    """Too many messages a second."""
    details = "Cloud API message throughput has been reached."
    return GraphError(400, 130429, "(#130429) Rate limit hit", details)


def undeliverable() -> GraphError:
    """A definite refusal of one person, such as a number that is not on WhatsApp."""
    return GraphError(400, 131026, "(#131026) Message undeliverable", "Message undeliverable.")


def unknown_error() -> GraphError:
    """A server error, of which nobody knows whether the message went out."""
    return GraphError(500, 131000, "(#131000) Something went wrong", "Message failed to send due to an unknown error.")


def error_of(code: int, http_status: int, details: str | None) -> GraphError:
    """Any error by its code.

    Args:
        code: Meta's code, or one that nobody knows.
        http_status: status of the HTTP answer.
        details: what is wrong with this request; None is what Meta says with the code.
    """
    words = words_for(code)
    return GraphError(http_status, code, f"(#{code}) {words.title}", words.details if details is None else details)
