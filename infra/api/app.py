"""Builds the API's application: routes, error documents and the OpenAPI document."""

from importlib.metadata import version
from typing import Final

from fastapi import FastAPI, Request
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response

from infra.api import (
    changes,
    closings,
    creates,
    experiments,
    gateways,
    openapi,
    pages,
    policies,
    problems,
    reads,
    returns,
    schemas,
    webhooks,
)
from infra.api.deps import context_of, json_response
from infra.api.transport import Semantics

_GZIP_FROM_BYTES: Final = 1024
_GZIP_LEVEL: Final = 5
_DESCRIPTION: Final = """Payments that are never lost and never charged twice.

Every error is a problem document (RFC 9457) with a `code`.
Every response has the request's `X-Correlation-Id`."""


def build() -> FastAPI:
    """Builds it; the process sets `app.state.context`, `.returns` and `.webhooks` before it serves."""
    app = FastAPI(
        title="AegisPay",
        version=version("aegispay"),
        description=_DESCRIPTION,
        docs_url=None,  # FastAPI's page loads scripts from other servers; pages.py has its own
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # middleware.py does all three
    )
    problems.install(app)
    app.include_router(reads.router)
    app.include_router(creates.router)
    app.include_router(changes.router)
    app.include_router(closings.router)
    app.include_router(policies.router)
    app.include_router(experiments.router)
    app.include_router(returns.router)
    app.include_router(webhooks.router)
    app.include_router(gateways.router)
    app.add_api_route(
        "/live",
        _live,
        operation_id="live",
        tags=["process"],
        summary="Whether the process runs",
        response_model=schemas.State,
    )
    app.add_api_route(
        "/ready",
        _ready,
        operation_id="ready",
        tags=["process"],
        summary="Whether it takes requests",
        response_model=schemas.State,
        responses={
            503: {"model": schemas.State, "description": "Not yet, or no longer: `state` has the reason"}
        },
    )
    pages.install(app)
    openapi.install(app)
    app.add_middleware(GZipMiddleware, minimum_size=_GZIP_FROM_BYTES, compresslevel=_GZIP_LEVEL)
    app.add_middleware(Semantics)
    return app


async def _live(request: Request) -> Response:
    return json_response({"state": "live"})


async def _ready(request: Request) -> Response:
    state = context_of(request).process.state
    return json_response({"state": state}, 200 if state == "ready" else 503)
