"""The page of the customer's bank: takes an OTP, and has the browser post a form to the address that the
payment was created with.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from gateways.simulator.core import customer_page
from gateways.simulator.core.front import Front
from gateways.simulator.core.rows import Object
from gateways.simulator.razorpay.currencies import CURRENCIES
from gateways.simulator.razorpay.entities import GATEWAY, data_of
from gateways.simulator.razorpay.events import signed_return
from gateways.simulator.razorpay.payments import Payments
from gateways.simulator.razorpay.scenarios import FAILURES

_OTP_DIGITS_MIN: Final = 4
_OTP_DIGITS_MAX: Final = 10
_OTP: Final = (
    "<label>One-time password, 4 to 10 digits"
    "<input name=otp inputmode=numeric autocomplete=one-time-code></label>"
)


@dataclass(frozen=True, slots=True)
class Bank:
    """The handlers of the page."""

    front: Front
    payments: Payments

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The page on which the customer types the OTP. 404: no such payment."""
        one = self._known(request)
        amount = CURRENCIES.shown(one.mills, one.currency)
        buttons = (("pass", "Pay"), ("fail", "Cancel"))
        return customer_page.confirmation_page("Your bank", amount, one.status, buttons, _OTP)

    async def take_otp(self, request: web.Request) -> web.StreamResponse:
        """Takes `result=pass` or an OTP of 4 to 10 digits as passed, and shows a form that posts itself to
        the merchant."""
        sent = parse_qs((await request.read()).decode("utf-8", errors="replace"))
        form = {name: values[0] for name, values in sent.items()}
        one = self.payments.complete_challenge(self._known(request), _refused(form), time.time())
        back = data_of(one)["callback_url"]
        if back is None:
            return customer_page.page("Your bank", f"<p class=status>Status: {escape(one.status)}")
        fields = "".join(
            f"<input type=hidden name='{escape(name)}' value='{escape(value)}'>"
            for name, value in self._brought_back(one).items()
        )
        return customer_page.page(
            "Your bank",
            f"<form method=post action='{escape(back)}'>{fields}<button class=first>Back to the shop</button></form>"
            "<script>document.forms[0].submit()</script>",
        )

    def _brought_back(self, one: Object) -> dict[str, str]:
        account = self.front.accounts.named(GATEWAY, one.account)
        if one.status != "failed" and account is not None:
            return signed_return(one.parent or "", one.id, account)
        reason = data_of(one)["failure"] or "payment_failed"
        failure = FAILURES.get(reason)
        return {
            "error[code]": failure.code if failure else "BAD_REQUEST_ERROR",
            "error[description]": failure.description if failure else "The payment failed.",
            "error[reason]": reason,
            "error[metadata]": f'{{"payment_id":"{one.id}","order_id":"{one.parent}"}}',
        }

    def _known(self, request: web.Request) -> Object:
        one = self.payments.at_the_bank(request.match_info["id"], request.match_info["secret"])
        if one is None:
            raise web.HTTPNotFound
        return one


def _refused(form: Mapping[str, str]) -> str | None:
    """Returns the reason why the customer did not pass. None: the customer passed."""
    if form.get("result") == "fail":
        return "payment_cancelled"
    otp = form.get("otp", "")
    if not otp and form.get("result") == "pass":
        return None
    right = otp.isascii() and otp.isdigit() and _OTP_DIGITS_MIN <= len(otp) <= _OTP_DIGITS_MAX
    return None if right else "incorrect_otp"
