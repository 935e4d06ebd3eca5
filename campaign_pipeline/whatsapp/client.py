"""The Cloud API's client: one call, one answer, never repeated by itself.

Add here what a call needs (time limits, headers) and how its answer is read.
Keep out what an answer means for a recipient or a batch: `sending.outcomes`.
"""

from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPException
from typing import Any, Final, Protocol

import requests
from urllib3.exceptions import HTTPError

from campaign_pipeline.whatsapp.account import CloudApiAccount
from campaign_pipeline.whatsapp.connection import NotingAdapter, forget_writes, has_written
from campaign_pipeline.whatsapp.graph_answers import graph_error, json_of, storable, text_of, without_token
from campaign_pipeline.whatsapp.messages import TemplateMessage

CONNECT_TIMEOUT: Final = 10.0
READ_TIMEOUT: Final = 60.0
"""Seconds. Long, since an answer that comes late is worth far more than a doubt."""

_OF_THE_CONNECTION: Final = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


class AnswerKind(StrEnum):
    """What is certain after a call."""

    ACCEPTED = "accepted"
    """A 200 with a wamid."""
    REFUSED = "refused"
    """A 4xx that carries a Graph error: certainly not accepted."""
    NOT_SENT = "not_sent"
    """No byte of the request was written: certainly not accepted."""
    UNKNOWN = "unknown"
    """Anything else: it may have been accepted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one call.

    Attributes:
        kind: What is certain.
        http_status: The status code; None when there was no answer.
        error_code: The Graph error's code.
        error_text: What the error says, or what happened to the connection.
        wamid: Meta's id of the message.
        wa_id: The person's WhatsApp id, which may differ from the number sent.
        message_status: ``accepted``, ``held_for_quality_assessment`` …
    """

    kind: AnswerKind
    http_status: int | None = None
    error_code: int | None = None
    error_text: str | None = None
    wamid: str | None = None
    wa_id: str | None = None
    message_status: str | None = None


class MessageClient(Protocol):
    """What the sender needs of a Cloud API client; safe to call from many threads."""

    def send(self, message: TemplateMessage) -> Answer:
        """Makes one call; raises nothing that stands for a lost answer."""
        ...

    def close(self) -> None:
        """Closes its connections."""
        ...


class CloudApiClient:
    """Sends messages over one pooled session.

    No redirects, no retries, no proxies or credentials from the environment: what went out is what the caller asked
    for, once.
    """

    def __init__(self, account: CloudApiAccount, connections: int) -> None:
        self._url = account.messages_url
        self._adapter = NotingAdapter(connections)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {account.access_token}"
        self._session.mount("https://", self._adapter)
        self._session.mount("http://", self._adapter)

    def send(self, message: TemplateMessage) -> Answer:
        """Makes one call and tells what is certain after it."""
        request = message.as_request()
        self._adapter.drop_idle()
        forget_writes()
        try:
            response = self._session.post(
                self._url,
                json=request,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                allow_redirects=False,
            )
        except Exception as error:
            # Whatever it was, http.client and the encoding of headers included: only what was written counts.
            kind = AnswerKind.UNKNOWN if has_written() else AnswerKind.NOT_SENT
            return Answer(kind, error_text=_words_for(error))
        return read_answer(response.status_code, json_of(response))

    def close(self) -> None:
        """Closes the pooled connections."""
        self._session.close()


def read_answer(http_status: int, body: object) -> Answer:
    """Reads an HTTP answer; `body` is its JSON, or None when it is none."""
    if http_status == requests.codes.ok:
        return _read_success(http_status, body)
    error = graph_error(body)
    text = f"HTTP {http_status}" if error is None else text_of(error)
    code = None if error is None else int(error["code"])
    definite = code is not None and 400 <= http_status < 500
    return Answer(AnswerKind.REFUSED if definite else AnswerKind.UNKNOWN, http_status, code, text)


def _read_success(http_status: int, body: object) -> Answer:
    message = _first(body, "messages")
    wamid = message.get("id")
    if not isinstance(wamid, str) or not wamid or wamid != storable(wamid):
        return Answer(AnswerKind.UNKNOWN, http_status, error_text="the answer has no wamid")
    return Answer(
        AnswerKind.ACCEPTED,
        http_status,
        wamid=wamid,
        wa_id=_text_or_none(_first(body, "contacts").get("wa_id")),
        message_status=_text_or_none(message.get("message_status")),
    )


def _first(body: object, key: str) -> dict[str, Any]:
    items = body.get(key) if isinstance(body, dict) else None
    first = items[0] if isinstance(items, list) and items else None
    return first if isinstance(first, dict) else {}


def _text_or_none(value: object) -> str | None:
    return storable(value) if isinstance(value, str) else None


def _words_for(error: Exception) -> str:
    """What happened, without the address and the headers, and so without anything that could be secret."""
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    words = f"{type(error).__name__}: {type(cause).__name__}"
    # The words of an error in making the request may quote it, the token among the rest.
    if isinstance(error, _OF_THE_CONNECTION) and isinstance(cause, OSError | HTTPError | HTTPException):
        words = f"{words}: {cause}"
    return without_token(words)[:300]
