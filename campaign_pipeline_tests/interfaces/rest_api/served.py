"""The REST API as a program meets it: served on a real socket, with a token of each role.

Add here how a request is made. Keep out what is asked.
"""

import threading
from contextlib import AbstractContextManager
from typing import Any, Final, Self

import requests
import uvicorn

from campaign_pipeline.interfaces.rest_api.app import build_app
from campaign_pipeline.interfaces.rest_api.failures import FailureLimit
from campaign_pipeline.interfaces.rest_api.tokens import create_token
from campaign_pipeline.interfaces.workplace import Workplace
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.waiting import PATIENCE, wait_until

SPRING: Final = {"name": "Spring Sale", "template_name": "spring_sale"}


class ServedApi(AbstractContextManager["ServedApi"]):
    """The API of the present folder's installation, in a thread of this process, so that its clock can be moved."""

    def __init__(self, clock: HandClock, failures: FailureLimit | None = None) -> None:
        self.workplace = Workplace(clock.now)
        self.app = build_app(self.workplace, failures)
        self.tokens = {role: self.new_token(role) for role in ApiRole}
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=0, lifespan="off", log_config=None, access_log=False, proxy_headers=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self.url = ""
        self._session = requests.Session()

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._server.started or not self._thread.is_alive(), "the API to listen")
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_error: object) -> None:
        self._session.close()
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        self.workplace.close()

    def new_token(self, role: ApiRole, name: str | None = None) -> str:
        """Makes a token."""
        with self.workplace.ledger.write() as connection:
            return create_token(connection, role, name=name, actor="test", now=self.workplace.clock())[1]

    def ask(
        self,
        method: str,
        path: str,
        role: ApiRole = ApiRole.OPERATOR,
        headers: dict[str, str] | None = None,
        **of_requests: Any,  # noqa: ANN401 - whatever requests takes
    ) -> requests.Response:
        """Makes a request with the token of a role."""
        authorization = {"Authorization": f"Bearer {self.tokens[role]}"}
        return self._session.request(
            method, f"{self.url}{path}", headers={**authorization, **(headers or {})}, timeout=PATIENCE, **of_requests
        )

    def get(self, path: str, role: ApiRole = ApiRole.VIEWER) -> requests.Response:
        """Looks."""
        return self.ask("GET", path, role)

    def post(
        self,
        path: str,
        document: object | None = None,
        role: ApiRole = ApiRole.OPERATOR,
        key: str | None = None,
        **of_requests: Any,  # noqa: ANN401 - whatever requests takes
    ) -> requests.Response:
        """Acts."""
        headers = {**of_requests.pop("headers", {}), **({} if key is None else {"Idempotency-Key": key})}
        return self.ask("POST", path, role, headers, json=document, **of_requests)

    def must(self, path: str, document: object | None = None, **of_requests: Any) -> Any:  # noqa: ANN401 - JSON
        """Acts, which has to go well; gives the answer."""
        answer = self.post(path, document, **of_requests)
        assert answer.ok, answer.text
        return answer.json()
