"""The contract: the OpenAPI document, with every refusal that an endpoint may give, and examples.

Add here what is said of every endpoint. What is special about one stands with it.
Keep out the answers themselves.
"""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from campaign_pipeline.interfaces.rest_api.examples import ANSWERS
from campaign_pipeline.interfaces.rest_api.problems import KINDS, PROBLEM_JSON, ProblemDocument, described

VERSION: Final = "1.0.0"
"""Of the contract, not of the program."""

DESCRIPTION: Final = """\
Campaigns that reach their audience a batch a day, and nobody twice.

Send `Authorization: Bearer TOKEN` (`campaign token create --role operator`). Every POST takes an `Idempotency-Key`: the
same request again gets the first answer, and does nothing. Errors are problem documents (RFC 9457) whose `detail` says
what to do.
"""

_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Any text that is new for each request and the same for its repetitions; kept for 48 hours.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}

_DETAILS: Final[Mapping[int, str]] = {
    400: "The body is no JSON: send one JSON document in UTF-8.",
    401: "Send the header `Authorization: Bearer TOKEN`; `campaign token create` makes a token.",
    403: "This takes a token of the role operator, and this one is of the role viewer.",
    404: "There is no campaign 'spring-sale': `campaign list` shows those that there are.",
    405: "Use one of the methods that the header Allow names.",
    408: "",
    409: "The same request is just being done: ask again for its answer.",
    413: "The body may have 65,536 bytes: send a longer list as text/csv, or in parts.",
    415: "Send application/json, and say so in the header Content-Type.",
    422: "body.daily_send_limit: Input should be a valid integer. Every fault stands in `errors`.",
    431: "",
    429: "Too many attempts with a wrong token: look at the token, and try again after the time in Retry-After.",
    500: "It is written down in the server's log.",
    502: "Dagster refused the run: look at its page.",
    503: "The ledger does not answer: try again in a moment.",
}

_ALWAYS: Final = (400, 401, 403, 405, 408, 422, 429, 431, 500, 503)
_OF_ACTS: Final = (409, 413, 415)
_WITHOUT_DOCUMENT: Final = {408: "The request came too slowly.", 431: "The headers are too long."}
_WITH_RETRY_AFTER: Final = (409, 429, 503)


def refusals_of(path: str, own: Mapping[int, str], *, acts: bool) -> dict[int | str, dict[str, Any]]:
    """Describes how an endpoint may refuse.

    Args:
        path: With a parameter in it, there may be no such thing.
        own: What this endpoint says with a status, as an example.
        acts: Whether it takes a body.
    """
    statuses = {*_ALWAYS, *own, *(_OF_ACTS if acts else ()), *((404,) if "{" in path else ())}
    return {status: _refusal(status, own.get(status, _DETAILS[status])) for status in sorted(statuses)}


def with_key(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The description of an endpoint that takes an Idempotency-Key."""
    return {**extra, "parameters": [*extra.get("parameters", []), _KEY]}


def json_body(model_name: str, examples: Mapping[str, object]) -> dict[str, Any]:
    """The description of a JSON body with examples, for an endpoint that reads its body itself."""
    schema = {"$ref": f"#/components/schemas/{model_name}"}
    return {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}


def describe(app: FastAPI) -> None:
    """Gives an app its OpenAPI document, made when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    # The way that FastAPI's documentation names to change the document.
    app.openapi = openapi


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=VERSION, description=DESCRIPTION, routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _problem_schema()
    # FastAPI's own descriptions of a 422, which nothing refers to.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for name, example in ANSWERS.items():
        schemas[name]["examples"] = [example]
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "A token of `campaign token create`."}
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["security"] = [{"token": []}] if "x-required-role" in operation else []
            operation.setdefault("tags", [path.strip("/").split("/")[0]])
    return document


def _problem_schema() -> dict[str, Any]:
    schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/Problem/$defs/{model}")
    return {**schema, "title": "Problem"}


def _refusal(status: int, detail: str) -> dict[str, Any]:
    if status in _WITHOUT_DOCUMENT:
        return {"description": f"{_WITHOUT_DOCUMENT[status]} The connection is closed, without a document."}
    schema = {"$ref": "#/components/schemas/Problem"}
    refusal: dict[str, Any] = {
        "description": KINDS[status][1],
        "content": {PROBLEM_JSON: {"schema": schema, "example": described(status, detail)}},
    }
    if status in _WITH_RETRY_AFTER:
        refusal["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}
    if status == 405:
        refusal["headers"] = {"Allow": {"required": True, "schema": {"type": "string"}}}
    return refusal
