"""Adyen at the simulator: the calls of Checkout v72 that the adapter makes, and the page of 3-D Secure."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from gateways.simulator.adyen import events, wire
from gateways.simulator.adyen.currencies import CURRENCIES
from gateways.simulator.adyen.disputes import Disputes
from gateways.simulator.adyen.events import Events
from gateways.simulator.adyen.modifications import Modifications
from gateways.simulator.adyen.payments import Payments, left_of, scenario_of
from gateways.simulator.adyen.wire import GATEWAY, Modification
from gateways.simulator.core import customer_page
from gateways.simulator.core.accounts import Account
from gateways.simulator.core.faults import Fault, On, fault_at
from gateways.simulator.core.front import ACCOUNT, Front
from gateways.simulator.core.psp import (
    DashboardAction,
    ErrorKind,
    Keyed,
    Plan,
    Refusal,
    Response,
    Signed,
    Turn,
    path_of,
)
from gateways.simulator.core.rows import StoredResult, Webhook

_PAYMENTS: Final = "/v72/payments"
_KEY_LIFE_S: Final = 7 * 24 * 3600
_KEY_MAX: Final = 64
_TRANSIENT: Final = {"Transient-Error": "true"}
_ERRORS: Final[dict[ErrorKind, Response]] = {
    "unauthorized": wire.error(401, "000", "HTTP Status Response - Unauthorized", "security"),
    "not_found": wire.error(404, "000", "Not found"),
    "too_large": wire.error(413, "000", "Request too large"),
    "rate_limited": wire.error(429, "000", "Too many requests", "security"),
    "broken": wire.error(500, "000", "Internal error", "internal"),
    "unavailable": wire.error(
        503, "703", "Required resource temporarily unavailable", "internal", **_TRANSIENT
    ),
    "key_in_use": wire.error(409, "704", "request already processed or in progress", **_TRANSIENT),
    "key_conflict": wire.error(422, "704", "request already processed or in progress"),
}

ReadParams = Callable[[bytes, Account], Modification]
Modify = Callable[[str, Modification, Turn], Response]


@dataclass(slots=True)
class Adyen:
    """Adyen's dialect: hands each call to the front with what decides it."""

    front: Front
    payments: Payments
    modifications: Modifications
    disputes: Disputes

    @classmethod
    def open(cls, front: Front) -> "Adyen":
        """Builds the dialect on the front's ledger, accounts and webhooks."""
        events = Events(front.webhooks, front.accounts)
        disputes = Disputes(front.ledger, events, front.settles_after_s)
        payments = Payments(front, events)
        modifications = Modifications(front.ledger, payments, events, disputes, front.settles_after_s)
        return cls(front, payments, modifications, disputes)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """The calls of Checkout v72 that a merchant's server makes."""
        return (
            web.post(_PAYMENTS, self.create),
            web.post(f"{_PAYMENTS}/details", self.details),
            web.post(f"{_PAYMENTS}/{{id}}/captures", self.capture),
            web.post(f"{_PAYMENTS}/{{id}}/cancels", self.cancel),
            web.post(f"{_PAYMENTS}/{{id}}/refunds", self.refund),
            web.post(f"{_PAYMENTS}/{{id}}/reversals", self.reverse),
            web.post("/v72/cancels", self.technical_cancel),
        )

    def pages(self) -> Sequence[web.AbstractRouteDef]:
        """The page of 3-D Secure, by an address that only the payment's response has."""
        return (
            web.get("/3d-secure/{id}/{page}", self.show_page),
            web.post("/3d-secure/{id}/{page}", self.submit_challenge),
        )

    def admit(self, request: web.Request) -> Account | None:
        """The account whose API key the header `X-API-Key` has, else None."""
        return self.front.accounts.admitted(GATEWAY, request.headers.get("X-API-Key", ""))

    def error_response(self, kind: ErrorKind, request: web.Request) -> Response:
        """Adyen's error object; errors that a repeat may mend have the header `Transient-Error`."""
        return _ERRORS[kind]

    def finish(self, request: web.Request, response: web.StreamResponse, *, replayed: bool) -> None:
        """Sends the idempotency key back, as Adyen does, where it is one that Adyen takes."""
        key = request.headers.get("Idempotency-Key", "")
        if key.isascii() and key.isprintable() and 0 < len(key) <= _KEY_MAX:
            response.headers["Idempotency-Key"] = key

    def replay(self, keyed: Keyed, stored: StoredResult, turn: Turn) -> Response:
        """The stored response as it was: Adyen shows no later state."""
        return Response(stored.status, stored.body)

    def sign(self, webhook: Webhook, account: Account, now: float, *, forged: bool) -> Signed:
        """The item with its HMAC inside `additionalData`."""
        return events.sign(webhook, account, forged=forged)

    def dashboard(self, action: DashboardAction, turn: Turn) -> None:
        """Modifies the payment as the Customer Area does. An amount is optional."""
        found = self.front.ledger.find(
            GATEWAY, turn.account.name, kind="payment", reference=action.reference, limit=1
        )
        if not found:
            raise wire.refused(404, "167", "Original pspReference required for this operation")
        payment = found[0]
        mills = CURRENCIES.mills(action.minor or 0, payment.currency)
        match action.do:
            case "capture":
                params = Modification(None, mills or left_of(payment), payment.currency)
                self.modifications.capture(payment.id, params, turn)
            case "cancel":
                self.modifications.cancel(payment.id, Modification(None), turn)
            case "refund":
                params = Modification(None, mills or payment.captured - payment.refunded, payment.currency)
                self.modifications.refund(payment.id, params, turn)

    def settle(self, now: float) -> None:
        """Decides payments that were `Received`, expires holds, and moves disputes and failing modifications
        on."""
        for one in self.front.ledger.due_to_settle(GATEWAY, now):
            with self.front.ledger.writing():
                match one.kind:
                    case "payment":
                        self.payments.settle(one, now)
                    case "dispute":
                        self.disputes.settle(one, now)
                    case _:
                        self.modifications.settle(one, now)

    async def create(self, request: web.Request) -> web.StreamResponse:
        """`POST /payments`. NO_CONNECTION_AVAILABLE is transient: nothing is done, and nothing stored under
        the key."""
        raw = await request.read()

        def plan() -> Plan:
            params = wire.pay(raw, request[ACCOUNT])
            scenario = params.scenario
            if scenario.test_error == "no_connection":
                raise Refusal(wire.error(500, "000", "NO_CONNECTION_AVAILABLE", "internal", **_TRANSIENT))
            fault = fault_at(scenario.fault, "create")
            return Plan(lambda turn: self.payments.create(params, turn), fault, params.payment)

        return await self.front.once(request, "create", plan, _keyed(request, raw))

    async def details(self, request: web.Request) -> web.StreamResponse:
        """`POST /payments/details`, with the `redirectResult` that the customer brought back."""
        raw = await request.read()

        def plan() -> Plan:
            result = wire.redirect_result(raw)
            return Plan(lambda turn: self.payments.details(result, turn))

        return await self.front.once(request, "continue", plan, _keyed(request, raw))

    async def capture(self, request: web.Request) -> web.StreamResponse:
        """`POST /payments/{id}/captures`: received at once, its result comes by webhook."""
        return await self._modify(request, "capture", wire.with_amount, self.modifications.capture)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """`POST /payments/{id}/cancels`: received at once, its result comes by webhook."""
        return await self._modify(request, "cancel", wire.without_amount, self.modifications.cancel)

    async def refund(self, request: web.Request) -> web.StreamResponse:
        """`POST /payments/{id}/refunds`: received at once, its result comes by webhook."""
        return await self._modify(request, "refund", wire.with_amount, self.modifications.refund)

    async def reverse(self, request: web.Request) -> web.StreamResponse:
        """`POST /payments/{id}/reversals`: cancels or refunds, whichever the payment allows."""
        return await self._modify(request, "cancel", wire.without_amount, self.modifications.reverse)

    async def technical_cancel(self, request: web.Request) -> web.StreamResponse:
        """`POST /cancels`: cancels by the merchant's reference, whether or not Adyen knows the payment."""
        raw = await request.read()

        def plan() -> Plan:
            paid, params = wire.technical_cancel(raw, request[ACCOUNT])
            payment = paid.partition("-")[0]
            return Plan(lambda turn: self.modifications.technical_cancel(paid, params, turn), payment=payment)

        return await self.front.once(request, "cancel", plan, _keyed(request, raw))

    async def _modify(
        self, request: web.Request, on: On, read_params: ReadParams, modify: Modify
    ) -> web.StreamResponse:
        raw, psp_id = await request.read(), request.match_info["id"]

        def plan() -> Plan:
            params = read_params(raw, request[ACCOUNT])
            return Plan(lambda turn: modify(psp_id, params, turn), self._fault(psp_id, on), psp_id)

        return await self.front.once(request, on, plan, _keyed(request, raw))

    def _fault(self, psp_id: str, on: On) -> Fault | None:
        """The fault that the payment's token chooses for calls of this kind, else None."""
        one = self.front.ledger.one(GATEWAY, psp_id)
        return None if one is None or one.kind != "payment" else fault_at(scenario_of(one).fault, on)

    async def show_page(self, request: web.Request) -> web.StreamResponse:
        """The page on which the customer authenticates. 404: no such page."""
        one = self.payments.challenged(request.match_info["id"], request.match_info["page"])
        if one is None:
            raise web.HTTPNotFound
        amount = CURRENCIES.shown(one.mills, one.currency)
        buttons = (("pass", "Authenticate"), ("fail", "Refuse"))
        return customer_page.confirmation_page("3-D Secure", amount, one.status, buttons)

    async def submit_challenge(self, request: web.Request) -> web.StreamResponse:
        """Takes the customer's choice, and sends the browser back to the merchant."""
        one = self.payments.challenged(request.match_info["id"], request.match_info["page"])
        if one is None:
            raise web.HTTPNotFound
        result = parse_qs((await request.read()).decode("utf-8", errors="replace")).get("result")
        raise web.HTTPSeeOther(self.payments.complete_challenge(one, passed=result == ["pass"]))


def _keyed(request: web.Request, raw: bytes) -> Keyed | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (0 < len(key) <= _KEY_MAX and key.isascii()):
        raise wire.refused(422, "702", "Idempotency-Key has at most 64 characters")
    signed_text = f"{path_of(request)}\n".encode() + raw
    return Keyed(key, hashlib.sha256(signed_text).hexdigest(), _KEY_LIFE_S)
