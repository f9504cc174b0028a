"""Handles HTTP semantics that every route shares: HEAD, a trailing slash, ETag with If-None-Match."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.api.deps import json_response


class Semantics:
    """Handles HEAD as GET without a body, and a path with a trailing slash as the path without."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (path := scope["path"]) != "/" and path.endswith("/"):
            scope["path"] = path.rstrip("/") or "/"
            scope["raw_path"] = scope.get("raw_path", path.encode()).rstrip(b"/") or b"/"
        if scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def head_only(message: Message) -> None:
            if message["type"] == "http.response.body":
                if message.get("more_body", False):
                    return
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        # A copy: the server has to go on seeing HEAD, which has no body.
        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, receive, head_only)
        finally:
            scope["route"] = inner.get("route")


def tagged(request: Request, content: Any, tag: str, headers: Mapping[str, str] | None = None) -> Response:
    """Answers 200 with a weak ETag, or 304 where the caller's If-None-Match names it (RFC 9110, 13.1.2).

    Weak, because responses that differ in compression or in the read model's lag are the same to the caller.
    """
    etag = f'W/"{tag}"'
    more = {"ETag": etag, "Cache-Control": "private, no-cache", **(headers or {})}
    if _names(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=more)
    return json_response(content, 200, more)


def _names(if_none_match: str, etag: str) -> bool:
    opaque = etag.removeprefix("W/")
    given = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return "*" in given or opaque in given
