"""3-D Secure at the simulator: the page that the shopper's bank would show, and what its buttons do."""

import time
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import parse_qs, urlencode

from aiohttp import web

from gateways.simulator.core import customer_page
from gateways.simulator.stripe.currencies import CURRENCIES
from gateways.simulator.stripe.payments import Payments

_REDIRECT_STATUS: Final = {"requires_capture": "succeeded", "requires_payment_method": "failed"}


@dataclass(frozen=True, slots=True)
class Challenge:
    """The page of 3-D Secure."""

    payments: Payments

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The page on which the customer authenticates. 404: no such challenge."""
        intent = self.payments.challenged(request.match_info["secret"])
        if intent is None:
            raise web.HTTPNotFound
        currency = intent.currency.upper()
        amount = CURRENCIES.shown(CURRENCIES.mills(intent.amount, currency), currency)
        buttons = (("pass", "Authenticate"), ("fail", "Refuse"))
        return customer_page.confirmation_page("3-D Secure", amount, intent.status, buttons)

    async def finish(self, request: web.Request) -> web.StreamResponse:
        """Takes the customer's choice, and sends the browser back to the merchant."""
        result = parse_qs((await request.read()).decode("utf-8", errors="replace")).get("result")
        intent = self.payments.finish_challenge(
            request.match_info["secret"], passed=result == ["pass"], now=time.time()
        )
        if intent is None:
            raise web.HTTPNotFound
        if intent.return_url is None:
            return customer_page.page("3-D Secure", f"<p class=status>Status: {escape(intent.status)}")
        ended = _REDIRECT_STATUS.get(intent.status, intent.status)
        back = urlencode({"payment_intent": intent.id, "redirect_status": ended})
        joint = "&" if "?" in intent.return_url else "?"
        raise web.HTTPSeeOther(f"{intent.return_url}{joint}{back}")
