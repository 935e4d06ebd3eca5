"""The simulator's routes: Meta's messages endpoint, and the control API beside it.

Add here a route of Meta's. Keep out what happens behind it (messages.py) and the routes under /simulator (control.py).
"""

from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from campaign_pipeline.whatsapp.simulator.account_routes import account_router
from campaign_pipeline.whatsapp.simulator.control import routes_to_call_webhooks, routes_to_look, routes_to_steer
from campaign_pipeline.whatsapp.simulator.judge import SendRequest
from campaign_pipeline.whatsapp.simulator.messages import Simulator
from campaign_pipeline.whatsapp.simulator.template_routes import add_template_routes


def create_app(simulator: Simulator) -> FastAPI:
    """Builds the routes around one simulator.

    Args:
        simulator: what answers.

    Returns:
        The app, which does nothing until it is served.
    """
    app = FastAPI(title="Local WhatsApp Cloud API", openapi_url=None)
    app.include_router(routes_to_look(simulator))
    app.include_router(routes_to_steer(simulator))
    app.include_router(routes_to_call_webhooks(simulator))

    @app.post("/{version}/{phone_number_id}/messages")
    async def send(version: str, phone_number_id: str, request: Request) -> Response:
        authorization = request.headers.get("authorization")
        sent = SendRequest(version, phone_number_id, authorization, await request.body())
        return await simulator.send(sent, str(request.url))

    add_template_routes(app, simulator)
    # Behind all others: a path of two parts could be anything's.
    app.include_router(account_router(simulator.account))
    app.add_exception_handler(ClientDisconnect, _broke_off)
    return app


async def _broke_off(_request: Request, _error: Exception) -> Response:
    """The sender was gone before it had sent all: there is no message, and nobody to answer."""
    return Response(status_code=400)
