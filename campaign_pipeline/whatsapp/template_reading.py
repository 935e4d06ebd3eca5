"""Reading templates from the Graph API: a question that changes nothing, so it may be asked again at any time.

Add here what is read about a business account's templates.
Keep out what a template means: `templates`, and `campaigns.preflight`.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-management, and
graph.facebook.com's paging; the permission is whatsapp_business_management.
"""

from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

import requests

from campaign_pipeline.whatsapp.account import CloudApiAccount
from campaign_pipeline.whatsapp.graph_answers import graph_error, json_of, storable_json, text_of
from campaign_pipeline.whatsapp.read_refusals import ReadRefusal, refusal_by
from campaign_pipeline.whatsapp.templates import FIELDS, Template

CONNECT_TIMEOUT: Final = 10.0
READ_TIMEOUT: Final = 20.0
"""Seconds; a person waits for the answer."""

TEMPLATES_PER_PAGE: Final = 100
MOST_PAGES: Final = 50
"""More than Meta lets a business account have templates for."""


class ReadFault(StrEnum):
    """Why templates could not be read."""

    TOKEN = "token"  # noqa: S105 - a kind of fault
    PERMISSION = "permission"
    TOO_FAST = "too_fast"
    UNREACHABLE = "unreachable"
    UNREADABLE = "unreadable"
    REFUSED = "refused"


_FAULT_OF: Final = {
    ReadRefusal.TOKEN: ReadFault.TOKEN,
    ReadRefusal.PERMISSION: ReadFault.PERMISSION,
    ReadRefusal.WRONG_ID: ReadFault.PERMISSION,
    ReadRefusal.TOO_FAST: ReadFault.TOO_FAST,
    ReadRefusal.OTHER: ReadFault.REFUSED,
}

_WHAT_TO_DO: Final = {
    ReadFault.TOKEN: "The access token is wrong or has expired: set WHATSAPP_ACCESS_TOKEN anew",
    ReadFault.PERMISSION: (
        "The token may not see this business account: give it whatsapp_business_management, and look at "
        "WHATSAPP_BUSINESS_ACCOUNT_ID"
    ),
    ReadFault.TOO_FAST: (
        "The Graph API does not answer at this moment, most often after too many questions: try again in some minutes"
    ),
    ReadFault.UNREACHABLE: "The Graph API cannot be reached: look at the network and WHATSAPP_BASE_URL, then try again",
    ReadFault.UNREADABLE: "What answered is not the Graph API: try again, and look at WHATSAPP_BASE_URL",
    ReadFault.REFUSED: "The Graph API refused to show the templates",
}


class TemplateReadError(RuntimeError):
    """Templates could not be read; the message says why and what to do.

    Attributes:
        fault: Which kind of reason it is.
        code: Meta's error code, if it gave one.
    """

    def __init__(self, fault: ReadFault, detail: str, code: int | None = None) -> None:
        super().__init__(f"{_WHAT_TO_DO[fault]} ({detail}).")
        self.fault = fault
        self.code = code


def read_templates(account: CloudApiAccount, business_account_id: str, name: str) -> list[Template]:
    """Reads a template in every language that it has.

    Meta's filter also finds names that only contain the one that is asked for; those are left out here.

    Args:
        account: Who asks, and where.
        business_account_id: Meta's id of the business account that the template belongs to.
        name: The template's name.

    Raises:
        TemplateReadError: They could not be read.
    """
    found: list[Template] = []
    after: str | None = None
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(MOST_PAGES):
            page = _page(session, account, business_account_id, name, after)
            found += [Template.from_graph(storable_json(each)) for each in page["data"] if isinstance(each, dict)]
            after = _next_cursor(page)
            if after is None:
                return [template for template in found if template.name == name]
    raise TemplateReadError(ReadFault.UNREADABLE, f"more than {MOST_PAGES} pages of templates")


def _page(
    session: requests.Session, account: CloudApiAccount, business_account_id: str, name: str, after: str | None
) -> dict[str, Any]:
    """One page of the answer, which has a list of templates."""
    parameters = {"name": name, "fields": ",".join(FIELDS), "limit": str(TEMPLATES_PER_PAGE)}
    if after is not None:
        parameters["after"] = after
    try:
        response = session.get(
            _url(account, business_account_id),
            params=parameters,
            headers={"Authorization": f"Bearer {account.access_token}"},
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            allow_redirects=False,
        )
    except (requests.RequestException, UnicodeError) as error:
        # Its words may quote the request, and with it the token.
        raise TemplateReadError(ReadFault.UNREACHABLE, type(error).__name__) from None
    body = json_of(response)
    error = graph_error(body)
    if error is not None:
        raise _refusal(error)
    if response.status_code != requests.codes.ok:
        raise TemplateReadError(ReadFault.UNREADABLE, f"HTTP {response.status_code}")
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        raise TemplateReadError(ReadFault.UNREADABLE, "the answer is not JSON with a list of templates")
    return body


def _url(account: CloudApiAccount, business_account_id: str) -> str:
    of_account = quote(business_account_id, safe="")
    return f"{account.base_url.rstrip('/')}/{account.api_version}/{of_account}/message_templates"


def _next_cursor(page: dict[str, Any]) -> str | None:
    """Where the next page begins; None after the last. Meta's own link to it is not followed: it holds the token."""
    paging = page.get("paging")
    if not isinstance(paging, dict) or not paging.get("next"):
        return None
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    if not isinstance(after, str) or not after:
        raise TemplateReadError(ReadFault.UNREADABLE, "a further page is announced, but not where it begins")
    return after


def _refusal(error: dict[str, Any]) -> TemplateReadError:
    code = int(error["code"])
    return TemplateReadError(_FAULT_OF[refusal_by(code)], f"error {code}, {text_of(error)}", code)
