"""A server for the tests of listening: it says back what it was sent, and is run as a process of its own.

Its bounds are short, so that nobody has to wait. Add here what a test needs the server to do.
"""

import sys

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from campaign_pipeline.interfaces.listening import Bounds, ListeningError, listen

HEAD_SECONDS = 1.0
BODY_SECONDS = 1.0
BYTES_A_SECOND = 1_000


async def say_back(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body; a request for `/early` is answered before it has come."""
    assert scope["type"] == "http"
    request = Request(scope, receive)
    try:
        text = "early" if scope["path"] == "/early" else (await request.body()).decode()
    except ClientDisconnect:
        print("gone", flush=True)  # noqa: T201 - what the test waits for
        return
    await PlainTextResponse(text)(scope, receive, send)


def main() -> None:
    """Listens on the port that is named, until it is stopped; then says so."""
    bounds = Bounds(HEAD_SECONDS, BODY_SECONDS, BYTES_A_SECOND)
    try:
        listen(
            say_back,
            host="127.0.0.1",
            port=int(sys.argv[1]),
            announce=lambda url: print(url, flush=True),  # noqa: T201 - what the test waits for
            bounds=bounds,
        )
    except ListeningError as error:
        sys.exit(str(error))
    print("ended", flush=True)  # noqa: T201 - what the test waits for


if __name__ == "__main__":
    main()
