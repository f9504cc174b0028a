"""Stripe at the simulator: its calls for payment intents, refunds and disputes."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import BasicAuth, web

from gateways.simulator.core.accounts import Account
from gateways.simulator.core.faults import On, fault_at
from gateways.simulator.core.front import ACCOUNT, Front
from gateways.simulator.core.psp import (
    DashboardAction,
    Decide,
    ErrorKind,
    Keyed,
    Plan,
    Response,
    Signed,
    Turn,
    path_of,
    payment_of,
)
from gateways.simulator.core.rows import StoredResult, Webhook
from gateways.simulator.stripe import events, forms, rules
from gateways.simulator.stripe.challenge import Challenge
from gateways.simulator.stripe.dialect import (
    REFUNDS_SHOWN,
    charge_object,
    error_response,
    intent_object,
    invalid,
    new_id,
    page,
    refund_object,
)
from gateways.simulator.stripe.disputes import Disputes, shown
from gateways.simulator.stripe.events import Events
from gateways.simulator.stripe.payments import Payments
from gateways.simulator.stripe.refunds import Refunds
from gateways.simulator.stripe.scenarios import of_token
from gateways.simulator.stripe.store import Store
from gateways.simulator.stripe.tables import GATEWAY, Intent

INTENTS: Final = "/v1/payment_intents"
REFUNDS: Final = "/v1/refunds"
DISPUTES: Final = "/v1/disputes"
_KEY_LIFE_S: Final = 24 * 3600
_KEY_MAX: Final = 255


@dataclass(slots=True)
class Stripe:
    """Stripe's dialect: payment intents, refunds and disputes."""

    front: Front
    payments: Payments
    refunds: Refunds
    disputes: Disputes
    challenge: Challenge

    @classmethod
    def open(cls, front: Front) -> "Stripe":
        """Builds the dialect on the front's ledger, accounts and webhooks."""
        stripe_events = Events(front.webhooks, front.accounts)
        disputes = Disputes(front.ledger, stripe_events, front.settles_after_s)
        payments = Payments(front, Store(front.ledger), stripe_events, disputes)
        return cls(front, payments, Refunds(payments, front.settles_after_s), disputes, Challenge(payments))

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """The calls that a merchant's server makes."""
        return (
            web.post(INTENTS, self.create),
            web.get(INTENTS, self.list),
            web.get(f"{INTENTS}/search", self.search),
            web.get(f"{INTENTS}/{{id}}", self.retrieve),
            web.post(f"{INTENTS}/{{id}}/capture", self.capture),
            web.post(f"{INTENTS}/{{id}}/cancel", self.cancel),
            web.post(REFUNDS, self.refund),
            web.get(REFUNDS, self.list_refunds),
            web.get(f"{REFUNDS}/{{id}}", self.retrieve_refund),
            web.get(f"{DISPUTES}/{{id}}", self.retrieve_dispute),
            web.post(f"{DISPUTES}/{{id}}", self.respond_to_dispute),
        )

    def pages(self) -> Sequence[web.AbstractRouteDef]:
        """The page of 3-D Secure, by the intent's client secret."""
        return (
            web.get("/3d-secure/{secret}", self.challenge.show),
            web.post("/3d-secure/{secret}", self.challenge.finish),
        )

    def admit(self, request: web.Request) -> Account | None:
        """The account whose secret key is the bearer's token, or the name in basic authentication
        (https://docs.stripe.com/api/authentication), else None."""
        header = request.headers.get("Authorization", "")
        scheme, _, secret = header.partition(" ")
        if scheme.lower() == "basic":
            try:
                secret = BasicAuth.decode(header).login
            except ValueError:
                return None
        account = self.front.accounts.admitted(GATEWAY, secret)
        return account if scheme.lower() in {"bearer", "basic"} else None

    def error_response(self, kind: ErrorKind, request: web.Request) -> Response:
        """Stripe's error object; a wrong address is named in it."""
        return error_response(kind, f"{request.method}: {path_of(request)}")

    def finish(self, request: web.Request, response: web.StreamResponse, *, replayed: bool) -> None:
        """Sends `Stripe-Version` as the client requested it, a `Request-Id`, and `Idempotent-Replayed` with a
        repeat."""
        version = request.headers.get("Stripe-Version", events.VERSION)
        known = re.fullmatch(r"[\w.-]{1,40}", version)
        response.headers["Stripe-Version"] = version if known else events.VERSION
        response.headers["Request-Id"] = new_id("req", time.time())
        if replayed:
            response.headers["Idempotent-Replayed"] = "true"

    def replay(self, keyed: Keyed, stored: StoredResult, turn: Turn) -> Response:
        """The stored response as it was: Stripe shows no later state."""
        return Response(stored.status, stored.body)

    def sign(self, webhook: Webhook, account: Account, now: float, *, forged: bool) -> Signed:
        """The event, with the header `Stripe-Signature`."""
        return events.sign(webhook, account, now, forged=forged)

    def dashboard(self, action: DashboardAction, turn: Turn) -> None:
        """Captures, cancels or refunds an intent as Stripe's dashboard does. Raises `Refusal` (404) where
        none has the reference."""
        found = self.payments.store.with_reference(turn.account.name, action.reference, 9e18, 9e18, 1)
        if not found:
            raise invalid("There is no such payment.", status=404)
        match action.do:
            case "capture":
                self.payments.capture(found[0].id, forms.Capture(action.minor, final=True, metadata={}), turn)
            case "cancel":
                self.payments.cancel(found[0].id, action.reason, turn)
            case "refund":
                params = forms.RefundParams(found[0].id, action.minor, action.reason, {})
                self.refunds.create(params, turn)

    def settle(self, now: float) -> None:
        """Does what is due by `now` (Unix seconds): what was processing, holds that expire, pending refunds,
        disputes."""
        self.payments.settle(now)
        self.refunds.settle(now)
        self.disputes.settle(now)

    async def create(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/payment_intents`, created and confirmed."""
        sent = forms.pairs(await request.read())

        def plan() -> Plan:
            params = forms.create(sent)
            fault = fault_at(params.scenario.fault, "create")
            return Plan(lambda turn: self.payments.create(params, turn), fault, params.payment)

        return await self.front.once(request, "create", plan, _keyed(request, sent))

    async def capture(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/payment_intents/{id}/capture`."""
        sent = forms.pairs(await request.read())

        def plan() -> Plan:
            params = forms.capture(sent)
            intent = self.payments.known(request[ACCOUNT], request.match_info["id"], time.time())
            return _of_token(intent, "capture", lambda turn: self.payments.capture(intent.id, params, turn))

        return await self.front.once(request, "capture", plan, _keyed(request, sent))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/payment_intents/{id}/cancel`."""
        sent = forms.pairs(await request.read())

        def plan() -> Plan:
            reason = forms.cancel(sent)
            intent = self.payments.known(request[ACCOUNT], request.match_info["id"], time.time())
            return _of_token(intent, "cancel", lambda turn: self.payments.cancel(intent.id, reason, turn))

        return await self.front.once(request, "cancel", plan, _keyed(request, sent))

    async def refund(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/refunds`, of an intent or of its charge."""
        sent = forms.pairs(await request.read())

        def plan() -> Plan:
            params = forms.refund(sent)
            intent = self.payments.known(request[ACCOUNT], params.intent_id, time.time(), "payment_intent")
            return _of_token(intent, "refund", lambda turn: self.refunds.create(params, turn))

        return await self.front.once(request, "refund", plan, _keyed(request, sent))

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/payment_intents/{id}`, with its charge and refunds where they are expanded."""

        def decide(turn: Turn) -> Response:
            intent = self.payments.known(turn.account, request.match_info["id"], turn.now)
            self.refunds.settle(turn.now)
            if turn.do == "flap":
                intent = rules.as_it_was(intent)
            params = forms.pairs(request.query_string.encode())
            expand = [value for name, value in params if name == "expand[]"]
            charge = None
            if intent.moves and any(value.split(".")[0] == "latest_charge" for value in expand):
                disputed = self.disputes.of_intent(intent) is not None
                refunds = None
                if any(value.startswith("latest_charge.refunds") for value in expand):
                    given = self.refunds.store.refunds(turn.account.name, intent.id, None, REFUNDS_SHOWN + 1)
                    refunds = [refund_object(refund) for refund in given]
                charge = charge_object(intent, disputed=disputed, refunds=refunds)
            return Response.json(200, intent_object(intent, charge))

        return await self.front.read(request, "get", decide)

    async def search(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/payment_intents/search`, by `metadata['order_ref']` alone, with the lag of the
        conditions."""

        def decide(turn: Turn) -> Response:
            reference = forms.searched_reference(request.query.get("query", ""))
            limit, now = _limit(request), turn.now
            self.payments.settle(now)
            until = now - self.front.conditions.search_lag_s
            found = self.payments.store.with_reference(turn.account.name, reference, until, now, limit + 1)
            if turn.do == "flap":
                found = [rules.as_it_was(intent) for intent in found]
            shown = [] if turn.do == "absent" else [intent_object(intent) for intent in found]
            return page(shown, limit, f"{INTENTS}/search", "search_result")

        return await self.front.read(request, "search", decide)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/payment_intents`, newest first."""

        def decide(turn: Turn) -> Response:
            limit, now = _limit(request), turn.now
            created_from = request.query.get("created[gte]", "0")
            if not re.fullmatch(r"\d{1,12}", created_from, re.ASCII):
                raise invalid("Invalid integer.", param="created[gte]", code="parameter_invalid_integer")
            before = request.query.get("starting_after")
            if before is not None:
                self.payments.known(turn.account, before, now, "starting_after")
            self.payments.settle(now)
            window = int(created_from), now - self.front.conditions.search_lag_s
            found = self.payments.store.page(turn.account.name, window, before, now, limit + 1)
            return page([intent_object(intent) for intent in found], limit, INTENTS)

        return await self.front.read(request, "get", decide)

    async def retrieve_refund(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/refunds/{id}`."""

        def decide(turn: Turn) -> Response:
            refund = self.refunds.known(turn.account, request.match_info["id"], turn.now)
            if turn.do == "flap":
                refund = refund._replace(status=refund.earlier or "pending")
            return Response.json(200, refund_object(refund))

        return await self.front.read(request, "get", decide)

    async def list_refunds(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/refunds`, of an intent or of the account, newest first."""

        def decide(turn: Turn) -> Response:
            limit, account = _limit(request), turn.account
            of_intent, before = request.query.get("payment_intent"), request.query.get("starting_after")
            if of_intent is not None:
                self.payments.known(account, of_intent, turn.now, "payment_intent")
            if before is not None:
                self.refunds.known(account, before, turn.now, "starting_after")
            self.refunds.settle(turn.now)
            found = self.refunds.store.refunds(account.name, of_intent, before, limit + 1)
            return page([refund_object(refund) for refund in found], limit, REFUNDS)

        return await self.front.read(request, "get", decide)

    async def retrieve_dispute(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/disputes/{id}`."""

        def decide(turn: Turn) -> Response:
            return Response.json(200, shown(self.disputes.known(turn.account, request.match_info["id"])))

        return await self.front.read(request, "get", decide)

    async def respond_to_dispute(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/disputes/{id}`: takes evidence. It moves none of AegisPay's money, so no fault has its
        name."""
        sent = forms.pairs(await request.read())

        def decide(turn: Turn) -> Response:
            return self.disputes.take_evidence(request.match_info["id"], forms.evidence(sent), turn)

        return await self.front.read(request, "get", decide)


def _keyed(request: web.Request, sent: forms.Pairs) -> Keyed | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (0 < len(key) <= _KEY_MAX and key.isascii()):
        raise invalid("Idempotency keys can have up to 255 characters, in ASCII.")
    return Keyed(key, forms.fingerprint(request.method, path_of(request), sent), _KEY_LIFE_S)


def _of_token(intent: Intent, on: On, decide: Decide) -> Plan:
    return Plan(decide, fault_at(of_token(intent.payment_method).fault, on), payment_of(intent.reference))


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "10")
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or not 1 <= int(text) <= 100:
        raise invalid("The limit must be between 1 and 100.", param="limit", code="parameter_invalid_integer")
    return int(text)
