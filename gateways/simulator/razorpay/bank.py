"""The customer's bank: it asks for an OTP, and posts a form to the address that the payment was created with."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from gateways.simulator.front import Front
from gateways.simulator.razorpay import entities
from gateways.simulator.razorpay.entities import GATEWAY, data_of
from gateways.simulator.razorpay.events import signed_return
from gateways.simulator.razorpay.payments import Payments
from gateways.simulator.razorpay.scenarios import FAILURES
from gateways.simulator.rows import Object

_OTP_DIGITS_MIN: Final = 4
_OTP_DIGITS_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Bank:
    front: Front
    payments: Payments

    async def ask(self, request: web.Request) -> web.StreamResponse:
        one = self._known(request)
        amount = f"{entities.wire_of(one.minor, one.currency)} {escape(one.currency)}"
        return _html(
            f"<h1>Your bank</h1><p>{amount}, status {escape(one.status)}</p><form method=post>"
            "<label>OTP, 4 to 10 digits <input name=otp inputmode=numeric autocomplete=one-time-code></label> "
            "<button name=result value=pass>Pay</button> <button name=result value=fail>Cancel</button></form>"
        )

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """`result=pass` or a right OTP: passed. It is answered with a form that posts itself to the shop."""
        sent = parse_qs((await request.read()).decode("utf-8", errors="replace"))
        said = {name: values[0] for name, values in sent.items()}
        one = self.payments.answer_the_bank(self._known(request), _refused(said), time.time())
        back = data_of(one)["callback_url"]
        if back is None:
            return _html(f"<p>status {escape(one.status)}")
        fields = "".join(
            f"<input type=hidden name='{escape(name)}' value='{escape(value)}'>"
            for name, value in self._brought_back(one).items()
        )
        return _html(
            f"<form method=post action='{escape(back)}'>{fields}<button>Back to the shop</button></form>"
            "<script>document.forms[0].submit()</script>"
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


def _refused(said: Mapping[str, str]) -> str | None:
    """Why the customer did not pass."""
    if said.get("result") == "fail":
        return "payment_cancelled"
    otp = said.get("otp", "")
    if not otp and said.get("result") == "pass":
        return None
    right = otp.isascii() and otp.isdigit() and _OTP_DIGITS_MIN <= len(otp) <= _OTP_DIGITS_MAX
    return None if right else "incorrect_otp"


def _html(body: str) -> web.Response:
    return web.Response(text=f"<!doctype html><title>Bank</title>{body}", content_type="text/html")
