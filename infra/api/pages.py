"""Serves pages for people: `/` lists the resources, `/docs` shows the API. Both need no other server."""

import base64
import hashlib
import html
import re
from pathlib import Path
from typing import Final

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from infra.api.deps import json_response

router = APIRouter(include_in_schema=False)

_ASSETS: Final = Path(fastapi_offline.__file__).parent / "static"
_WHERE: Final = {
    "/docs": "the API, to read and to try",
    "/openapi.json": "the same for programs (OpenAPI 3.1)",
    "/v1/payments": "POST: create a payment; /v1/payments/{payment_id}: read one",
    "/v1/customers/{customer_id}/payments": "a customer's payments, newest first",
    "/v1/in-doubt": "the money at risk",
    "/webhooks/{gateway}/{account}": "where PSPs send their webhooks",
    "/live": "whether the process runs",
    "/ready": "whether it takes requests",
}
_STYLE: Final = """
:root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
body { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
dt { font-family: ui-monospace, monospace; margin-top: .75rem; overflow-wrap: anywhere; }
dd { margin: 0; }
"""


@router.get("/")
async def root(request: Request) -> Response:
    """Lists the resources: as a page for a browser, as JSON for any other client."""
    if "text/html" not in request.headers.get("accept", ""):
        return json_response({"name": "AegisPay", "resources": _WHERE})
    rows = "".join(f"<dt>{_linked(path)}</dt><dd>{html.escape(text)}</dd>" for path, text in _WHERE.items())
    content = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>AegisPay</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><h1>AegisPay</h1>'
        "<p>Payments through several payment providers: never lost, never charged twice. Everything under "
        "<code>/v1</code> takes an API key: <code>Authorization: Bearer ak_…</code></p>"
        f"<dl>{rows}</dl></html>"
    )
    return HTMLResponse(content, headers={"Content-Security-Policy": _policy(style=_hash(_STYLE))})


def _linked(path: str) -> str:
    shown = html.escape(path)
    return shown if "{" in path or path == "/v1/payments" else f'<a href="{shown}">{shown}</a>'


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Shows the OpenAPI document in Swagger UI."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="AegisPay",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="docs/favicon.png",
    )
    text = bytes(page.body).decode()
    scripts = [_hash(script) for script in re.findall(r"<script>(.*?)</script>", text, re.DOTALL)]
    # Swagger UI sets inline styles on its elements.
    policy = _policy(script=" ".join(scripts), style="'unsafe-inline'")
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _policy(*, style: str, script: str = "") -> str:
    return (
        f"default-src 'none'; script-src 'self' {script}; style-src 'self' {style}; img-src 'self' data:; "
        "connect-src 'self'; frame-ancestors 'none'"
    )


def install(app: FastAPI) -> None:
    """Adds the pages, and Swagger UI's files, which come from the package fastapi-offline."""
    app.include_router(router)
    app.mount("/docs", StaticFiles(directory=_ASSETS), name="docs")
