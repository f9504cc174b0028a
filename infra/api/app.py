"""The application: routes and error documents. It works once `app.state.door`, `.returns` and `.webhooks` are set."""

from importlib.metadata import version
from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import Response

from infra.api import changes, creates, documented, problems, reads, returns, webhooks
from infra.api.door import answer, door_of

_DESCRIPTION: Final = """Payments that are never lost and never charged twice.

Every error is a problem document (RFC 9457) with a `code`. `X-Correlation-Id` comes back with every answer."""


def build() -> FastAPI:
    app = FastAPI(
        title="AegisPay",
        version=version("aegispay"),
        description=_DESCRIPTION,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # ours are in the envelope
    )
    problems.install(app)
    app.include_router(reads.router)
    app.include_router(creates.router)
    app.include_router(changes.router)
    app.include_router(returns.router)
    app.include_router(webhooks.router)
    documented.install(app)
    app.add_api_route("/live", _live, tags=["process"], summary="Whether the process runs")
    app.add_api_route(
        "/ready", _ready, tags=["process"], summary="Whether it takes requests", responses={503: {}}
    )
    return app


async def _live(request: Request) -> Response:
    return answer({"state": "live"})


async def _ready(request: Request) -> Response:
    state = door_of(request).process.state
    return answer({"state": state}, 200 if state == "ready" else 503)
