"""Handles HTTP semantics that every route shares: HEAD, a trailing slash, ETag with If-None-Match."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.api.deps import json_response

_WEIGHT: Final = re.compile(r"q=(0(\.[0-9]{0,3})?|1(\.0{0,3})?)")


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
    if is_known(request, etag):
        return Response(status_code=304, headers=more)
    return json_response(content, 200, more)


def is_known(request: Request, etag: str) -> bool:
    """True if If-None-Match names the ETag, weakly compared."""
    lines = request.headers.getlist("if-none-match")
    given = [one.strip().removeprefix("W/") for line in lines for one in line.split(",")]
    return "*" in given or etag.removeprefix("W/") in given


def preferred(accept: str, kinds: Sequence[str]) -> str | None:
    """Returns the media type of `kinds`, in small letters, that an Accept header prefers (RFC 9110, 12.5.1):
    by the q of the most specific range that names it, then by the header's order, then by that of `kinds`.
    None: it takes none of them."""
    ranges: dict[str, tuple[float, int]] = {}
    for place, one in enumerate(accept.lower().split(",")):
        kind, *parameters = (part.strip() for part in one.split(";"))
        weights = [float(part[2:]) for part in parameters if _WEIGHT.fullmatch(part)]
        ranges.setdefault(kind, (weights[0] if weights else 1.0, place))
    if not accept.strip():
        return kinds[0]
    rated: list[tuple[float, int, int, str]] = []
    for kind in kinds:
        names = (kind, f"{kind.partition('/')[0]}/*", "*/*")
        weight, place = next((ranges[name] for name in names if name in ranges), (0.0, 0))
        if weight > 0:
            rated.append((-weight, place, len(rated), kind))
    return min(rated)[-1] if rated else None
