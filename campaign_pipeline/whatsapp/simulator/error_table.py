"""Meta's error codes as the simulator gives them: HTTP status, title and details of each.

Add here a code that Meta documents. Keep out what a caller should do about it: the simulator only says the words, and
shares them with nothing that it judges. Meta's page no longer names HTTP statuses; these are those of its older table.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
"""

from dataclasses import dataclass

_BAD_REQUEST = 400


@dataclass(frozen=True)
class ErrorWords:
    """What Meta says with one code.

    Attributes:
        http_status: status of the HTTP answer when the request is refused with it.
        title: Meta's short text.
        details: Meta's longer text.
    """

    http_status: int
    title: str
    details: str


_WORDS = {
    0: ErrorWords(401, "AuthException", "We were unable to authenticate the app user."),
    1: ErrorWords(400, "API Unknown", "Invalid request or possible server error."),
    2: ErrorWords(503, "API Service", "Temporary due to downtime or due to being overloaded."),
    3: ErrorWords(500, "API Method", "Capability or permissions issue."),
    4: ErrorWords(400, "API Too Many Calls", "The app has reached its API call rate limit."),
    10: ErrorWords(403, "Permission Denied", "Permission is either not granted or has been removed."),
    33: ErrorWords(400, "Parameter value is not valid", "The business phone number has been deleted."),
    100: ErrorWords(400, "Invalid parameter", "The request included one or more unsupported or misspelled parameters."),
    104: ErrorWords(401, "Access token required", "An access token is required to request this resource."),
    190: ErrorWords(401, "Access token has expired", "Your access token has expired."),
    200: ErrorWords(403, "API Permission", "Permission is either not granted or has been removed."),
    368: ErrorWords(
        403,
        "Temporarily blocked for policies violations",
        "The WhatsApp Business Account has been restricted or disabled for violating a platform policy.",
    ),
    803: ErrorWords(400, "Some of the aliases you requested do not exist", "The object does not exist."),
    80007: ErrorWords(400, "Rate limit issues", "The WhatsApp Business Account has reached its rate limit."),
    130403: ErrorWords(400, "User is blocked", "The business has blocked this user."),
    130429: ErrorWords(400, "Rate limit hit", "Cloud API message throughput has been reached."),
    130472: ErrorWords(400, "User's number is part of an experiment", "Message was not sent as part of an experiment."),
    130497: ErrorWords(
        403,
        "Business account is restricted from messaging users in this country.",
        "The WhatsApp Business Account is restricted from messaging users in certain countries.",
    ),
    131000: ErrorWords(500, "Something went wrong", "Message failed to send due to an unknown error."),
    131005: ErrorWords(403, "Access denied", "Permission is either not granted or has been removed."),
    131008: ErrorWords(400, "Required parameter is missing", "The request is missing a required parameter."),
    131009: ErrorWords(400, "Parameter value is not valid", "One or more parameter values are invalid."),
    131016: ErrorWords(500, "Service unavailable", "A service is temporarily unavailable."),
    131021: ErrorWords(400, "Recipient cannot be sender", "Sender and recipient phone number is the same."),
    131026: ErrorWords(400, "Message undeliverable", "Message Undeliverable."),
    131030: ErrorWords(
        400, "Recipient phone number not in allowed list", "Add the recipient's number to the allowed list."
    ),
    131031: ErrorWords(403, "Account has been locked", "The account has been locked or its data was not verified."),
    131037: ErrorWords(
        400, "Display name approval needed", "The 555 number has no approved display name, which it needs to send."
    ),
    131042: ErrorWords(400, "Business eligibility payment issue", "There was an error related to the payment method."),
    131045: ErrorWords(
        500, "Incorrect certificate", "Message failed to send due to a phone number registration error."
    ),
    131047: ErrorWords(
        400, "Re-engagement message", "More than 24 hours have passed since the recipient last replied."
    ),
    131048: ErrorWords(
        400,
        "Spam rate limit hit",
        "Message failed to send because there are restrictions on how many messages can be sent from this number.",
    ),
    131049: ErrorWords(
        400,
        "This message was not delivered to maintain healthy ecosystem engagement.",
        "In order to maintain a healthy ecosystem engagement, the message failed to be delivered.",
    ),
    131050: ErrorWords(
        400,
        "Unable to deliver the message.",
        "This recipient has chosen to stop receiving marketing messages on WhatsApp from your business.",
    ),
    131051: ErrorWords(400, "Unsupported message type", "Unsupported message type."),
    131052: ErrorWords(400, "Media download error", "Unable to download the media sent by the user."),
    131053: ErrorWords(400, "Media upload error", "Unable to upload the media used in the message."),
    131055: ErrorWords(400, "Method not allowed", "Only marketing templates can be sent by this method."),
    131056: ErrorWords(
        400,
        "(Business Account, Consumer Account) pair rate limit hit",
        "Too many messages sent from the sender phone number to the same recipient in a short period of time.",
    ),
    131057: ErrorWords(500, "Account in maintenance mode", "Business account is in maintenance mode."),
    131058: ErrorWords(
        400, "Hello World templates can only be sent from the Public Test Numbers", "Send another template."
    ),
    131062: ErrorWords(400, "Recipient not supported", "A business-scoped user id cannot receive this message."),
    131063: ErrorWords(
        400, "Marketing messages disabled", "Marketing messages on Cloud API are disabled for this account."
    ),
    131064: ErrorWords(
        400, "Messaging limit reached", "The account is limited because of violations in classifying templates."
    ),
    132000: ErrorWords(
        400,
        "Number of parameters does not match the expected number of params",
        "body: number of localizable_params (1) does not match the expected number of params (3)",
    ),
    132001: ErrorWords(
        404, "Template name does not exist in the translation", "The template does not exist or is not approved."
    ),
    132005: ErrorWords(400, "Translated text too long", "The hydrated template text is too long."),
    132007: ErrorWords(400, "Template Content Policy Violated", "Template content violates a WhatsApp policy."),
    132012: ErrorWords(
        400,
        "Parameter format does not match format in the created template",
        "Variable parameter values formatted incorrectly.",
    ),
    132015: ErrorWords(
        400, "Template is Paused", "Template is paused due to low quality so it cannot be sent in a template message."
    ),
    132016: ErrorWords(
        400,
        "Template is Disabled",
        "Template has been paused too many times due to low quality and is now permanently disabled.",
    ),
    132018: ErrorWords(400, "Template validation failed", "The template does not pass validation."),
    132068: ErrorWords(400, "Flow is in blocked state", "Flow is in blocked state."),
    132069: ErrorWords(400, "Flow is in throttled state", "Flow is in throttled state."),
    133000: ErrorWords(500, "Incomplete Deregistration", "A previous deregistration attempt failed."),
    133004: ErrorWords(503, "Server Temporarily Unavailable", "Server is temporarily unavailable."),
    133005: ErrorWords(400, "Two step verification PIN Mismatch", "Two-step verification PIN incorrect."),
    133006: ErrorWords(400, "Phone number re-verification needed", "Phone number needs to be verified."),
    133008: ErrorWords(400, "Too Many two step verification PIN Guesses", "Too many PIN guesses for this number."),
    133009: ErrorWords(400, "Two step verification PIN Guessed Too Fast", "PIN was entered too quickly."),
    133010: ErrorWords(400, "Phone number not registered", "Phone number not registered on the WhatsApp platform."),
    133015: ErrorWords(400, "Please wait a few minutes", "The number was deleted recently; its deletion is not done."),
    133016: ErrorWords(400, "Account register deregister rate limit exceeded", "Too many attempts for this number."),
    134011: ErrorWords(400, "Payments terms of service", "WhatsApp Payments terms of service have not been accepted."),
    134100: ErrorWords(400, "Only marketing messages supported", "The template is not of the category marketing."),
    134101: ErrorWords(400, "Template is syncing", "The template is being synced, which takes up to 10 minutes."),
    134102: ErrorWords(500, "Template unavailable for use", "The template cannot be used."),
    135000: ErrorWords(
        400, "Generic user error", "Message failed to send because of an unknown error with your request parameters."
    ),
    137000: ErrorWords(400, "Identity key hash mismatch", "The identity key hash does not match the recipient's."),
    2388019: ErrorWords(400, "Message template limit exceeded", "The account has too many templates."),
    2494100: ErrorWords(400, "Phone number in maintenance", "The phone number is in maintenance."),
}


def words_for(code: int) -> ErrorWords:
    """Finds what Meta says with a code.

    Args:
        code: any code; one that stands nowhere here is given all the same, to try how a caller takes news.

    Returns:
        Its HTTP status, 400 if nobody names one, and its words.
    """
    return _WORDS.get(code) or ErrorWords(_BAD_REQUEST, f"Error {code}", f"No page describes the error {code}.")
