"""The error table as the page `docs/errors.md`; a test holds the page to it.

Run `python -m campaign_pipeline.whatsapp.error_table > docs/errors.md` after a change of `errors`.
Keep out facts: they stand in `errors`.
"""

import sys

from campaign_pipeline.whatsapp.errors import KNOWN_ERRORS, PERMISSION_CODES, Arrival, ErrorClass, KnownError, look_up

_BY_ANSWER = {
    ErrorClass.PERSON: "this person is failed, everybody else goes on",
    ErrorClass.UNSUBSCRIBED: "this person is failed, and unsubscribed for every campaign",
    ErrorClass.COUNTRY: "this person is failed, and the country held until `campaign sender release COUNTRY`",
    ErrorClass.THROTTLE: "everybody waits, longer each time; then the same person is tried again",
    ErrorClass.CAMPAIGN: "the campaign is paused until `campaign resume`; its people keep their places, others go on",
    ErrorClass.ACCOUNT: "the sender is stopped until `campaign sender resume`; everybody keeps the place",
    ErrorClass.UNKNOWN: "this person is failed and never tried again; `campaign sender` tells of it",
}

_BY_WEBHOOK = {
    ErrorClass.PERSON: "this person is failed",
    ErrorClass.UNSUBSCRIBED: "this person is failed, and unsubscribed for every campaign",
    ErrorClass.COUNTRY: "this person is failed, and the country held until `campaign sender release COUNTRY`",
    ErrorClass.CAMPAIGN: "this person is failed, and the campaign paused until `campaign resume`",
    ErrorClass.ACCOUNT: "this person is failed, and the sender stopped until `campaign sender resume`",
    ErrorClass.UNKNOWN: "this person is failed; `campaign sender` tells of it",
}

_HEAD = """# WhatsApp's error codes

Made from `campaign_pipeline/whatsapp/errors.py`. Change it there, then run
`python -m campaign_pipeline.whatsapp.error_table > docs/errors.md`. The codes and their meanings are
[Meta's](https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes), read
2026-09-11; whose fault each is, is our reading.

A refusal is definite when it comes with a 4xx. With a 5xx the person is in doubt whatever the code: nothing is sent
again, and only a code that names the campaign's or the account's fault for certain pauses or stops. Three people of a
campaign refused in a row with codes marked * pause it, since the reason may lie beyond them; so do more failures than
`CAMPAIGN_STOP_SHARE` per cent of its last `CAMPAIGN_STOP_AFTER` messages. A failure that a webhook tells is final for
the person in this campaign: the message was accepted once, and nobody is sent to twice.

## What each class does

| class | told by the answer to the call | told by a webhook, after it was accepted |
|---|---|---|
"""


def page() -> str:
    """The whole page, as Markdown."""
    classes = "".join(
        f"| {each.value} | {_BY_ANSWER[each]} | {_BY_WEBHOOK.get(each, 'as person')} |\n" for each in ErrorClass
    )
    permissions = f"{PERMISSION_CODES.start}–{PERMISSION_CODES[-1]}"
    rows = [_row(str(error.code), error) for error in KNOWN_ERRORS]
    rows.append(_row(permissions, look_up(PERMISSION_CODES.start)))
    rows.append(_row("any other", look_up(-1)))
    head = "## The codes\n\n| code | meaning | class | told by | waits | what to do |\n|---|---|---|---|---|---|\n"
    return f"{_HEAD}{classes}\n{head}{''.join(rows)}"


def _row(code: str, error: KnownError) -> str:
    star = "" if error.only_here else " *"
    later = error.class_in(Arrival.WEBHOOK)
    is_told_later = error.arrival is not Arrival.ANSWER or error.in_webhook is not None
    differs = is_told_later and later is not error.error_class
    fault = f"{error.error_class.value}; {later.value} by a webhook" if differs else error.error_class.value
    wait = f"{error.wait:g} s" if error.wait else ""
    return f"| {code}{star} | {error.meaning} | {fault} | {error.arrival.value} | {wait} | {error.advice} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
