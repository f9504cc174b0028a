"""3-D Secure at the simulator: the page that the shopper's bank would show, and what its buttons do."""

import html
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlencode

from aiohttp import web

from gateways.simulator.stripe.payments import Payments

_REDIRECT_STATUS: Final = {"requires_capture": "succeeded", "requires_payment_method": "failed"}


@dataclass(frozen=True, slots=True)
class Challenge:
    payments: Payments

    async def show(self, request: web.Request) -> web.StreamResponse:
        intent = self.payments.challenged(request.match_info["secret"])
        if intent is None:
            raise web.HTTPNotFound
        text = (
            f"<!doctype html><title>3-D Secure</title><h1>3-D Secure</h1><p>{intent.amount}"
            f" {html.escape(intent.currency.upper())}, status {html.escape(intent.status)}</p>"
            "<form method=post><button name=result value=pass>Authenticate</button> "
            "<button name=result value=fail>Refuse</button></form>"
        )
        return web.Response(text=text, content_type="text/html")

    async def finish(self, request: web.Request) -> web.StreamResponse:
        result = parse_qs((await request.read()).decode("utf-8", errors="replace")).get("result")
        intent = self.payments.finish_challenge(
            request.match_info["secret"], passed=result == ["pass"], now=time.time()
        )
        if intent is None:
            raise web.HTTPNotFound
        if intent.return_url is None:
            return web.Response(text=f"status {intent.status}")
        ended = _REDIRECT_STATUS.get(intent.status, intent.status)
        back = urlencode({"payment_intent": intent.id, "redirect_status": ended})
        joint = "&" if "?" in intent.return_url else "?"
        raise web.HTTPSeeOther(f"{intent.return_url}{joint}{back}")
