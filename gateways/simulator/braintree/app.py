"""Braintree at the simulator: one address, which takes GraphQL."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from gateways.simulator.braintree import shown, wire
from gateways.simulator.braintree.disputes import Disputes
from gateways.simulator.braintree.documents import GraphqlRequest, error, failed, invalid, read
from gateways.simulator.braintree.events import Events, sign
from gateways.simulator.braintree.payments import REFUND, TRANSACTION, Payments
from gateways.simulator.braintree.scenarios import of_nonce
from gateways.simulator.braintree.shown import GATEWAY, kept
from gateways.simulator.core.accounts import Account
from gateways.simulator.core.faults import On, fault_at
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
    payment_of,
)
from gateways.simulator.core.rows import Object, StoredResult, Webhook

_KEY_LIFE_S: Final = 30 * 24 * 3600
_FIRST_MAX: Final = 100
_ERRORS: Final[dict[ErrorKind, tuple[str, str]]] = {
    "unauthorized": ("AUTHENTICATION", "Authentication credentials are invalid."),
    "rate_limited": ("RESOURCE_LIMIT", "Too many requests."),
    "broken": ("INTERNAL", "An unexpected error occurred."),
    "unavailable": ("SERVICE_AVAILABILITY", "The service is not available."),
    "not_found": ("NOT_FOUND", "There is nothing at this address."),
    "too_large": ("RESOURCE_LIMIT", "The request is too large."),
    "key_in_use": ("VALIDATION", "A request with this apiRequestKey is still in progress."),
    "key_conflict": ("VALIDATION", "This apiRequestKey was used with other parameters."),
}
_STATUS: Final[dict[ErrorKind, int]] = {"not_found": 404, "too_large": 413}


@dataclass(frozen=True, slots=True)
class _Keyed(Keyed):
    """A key with the document of this call, whose fields a repeat selects."""

    params: GraphqlRequest | None = None


@dataclass(slots=True)
class Braintree:
    """Braintree's dialect: one route, where each GraphQL field has its handler."""

    front: Front
    payments: Payments

    @classmethod
    def open(cls, front: Front) -> "Braintree":
        """Builds the dialect on the front's ledger, accounts and webhooks."""
        events = Events(front.webhooks, front.accounts)
        disputes = Disputes(front.ledger, events, front.settles_after_s)
        payments = Payments(front, events, disputes)
        return cls(front, payments)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """The one address of the GraphQL API."""
        return (web.post("/graphql", self.graphql),)

    def pages(self) -> Sequence[web.AbstractRouteDef]:
        """Returns no pages: no customer is sent to Braintree."""
        return ()

    def admit(self, request: web.Request) -> Account | None:
        """The account that signs in with the public and the private key (Basic), else None."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            public, _, private = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            public, private = "", ""
        account = self.front.accounts.admitted(GATEWAY, private, public)
        return account if scheme.lower() == "basic" else None

    def error_response(self, kind: ErrorKind, request: web.Request) -> Response:
        """A GraphQL error; most come with status 200."""
        return failed(error(*_ERRORS[kind]), status=_STATUS.get(kind, 200))

    def finish(self, request: web.Request, response: web.StreamResponse, *, replayed: bool) -> None:
        """Names the version of the API in the header `Braintree-Version`."""
        response.headers["Braintree-Version"] = "2018-09-10"

    def replay(self, keyed: Keyed, stored: StoredResult, turn: Turn) -> Response:
        """The present state of the transaction or the refund, as this call selects it."""
        one = None if stored.about is None else self.payments.known(turn.account, stored.about)
        if one is None or not isinstance(keyed, _Keyed) or keyed.params is None:
            return Response(stored.status, stored.body)
        return self._response(keyed.params, one, turn)

    def sign(self, webhook: Webhook, account: Account, now: float, *, forged: bool) -> Signed:
        """The notification, signed with the pair of keys."""
        return sign(webhook, account, forged=forged)

    def dashboard(self, action: DashboardAction, turn: Turn) -> None:
        """Does what the control panel offers. Raises `Refusal` where no transaction has the order id."""
        ledger = self.front.ledger
        found = ledger.find(GATEWAY, turn.account.name, kind=TRANSACTION, reference=action.reference, limit=1)
        if not found:
            raise invalid("There is no such transaction.")
        self.payments.dashboard(found[0], action, turn)

    def settle(self, now: float) -> None:
        """Settles transactions and refunds, expires authorizations, and moves disputes on."""
        self.payments.settle(now)

    async def graphql(self, request: web.Request) -> web.StreamResponse:
        """Handles every call: checked against the schema, then a mutation as a call that changes something, a
        query as a read or a search."""
        account = request[ACCOUNT]
        params = read(await request.read(), takes_keys=account.options.get("api_request_key") != "false")
        if not params.mutates:
            on: On = "search" if params.field == "search" else "get"
            call = orjson.dumps([params.field, params.variables]).decode()
            return await self.front.read(request, on, lambda turn: self._read(params, turn), call=call)
        if "paymentMethodId" in params.input:
            return await self._once(request, "create", params, lambda: self._pay(params, account))
        one = self.payments.known(account, params.input["transactionId"], TRANSACTION)
        on, do = self._later(params, one)

        def plan() -> Plan:
            if one is None:
                raise Refusal(failed(error("NOT_FOUND", "There is no such transaction.")))
            fault, payment = fault_at(of_nonce(kept(one).nonce).fault, on), payment_of(one.reference)
            return Plan(
                lambda turn: self._response(params, do(self._fresh(one, turn), params, turn), turn),
                fault,
                payment,
            )

        return await self._once(request, on, params, plan)

    def _later(
        self, params: GraphqlRequest, one: Object | None
    ) -> tuple[On, Callable[[Object, GraphqlRequest, Turn], Object]]:
        match params.field:
            case "captureTransaction":
                return "capture", self.payments.capture
            case "refundTransaction":
                return "refund", self.payments.refund
            case _:
                # A void and a refund are one mutation.
                return (
                    "cancel" if one is None or one.status == "AUTHORIZED" else "refund"
                ), self.payments.reverse

    def _pay(self, params: GraphqlRequest, account: Account) -> Plan:
        sent = wire.pay(params, account)
        fault = fault_at(sent.scenario.fault, "create")
        return Plan(
            lambda turn: self._response(params, self.payments.pay(sent, turn), turn), fault, sent.payment
        )

    def _fresh(self, one: Object, turn: Turn) -> Object:
        self.payments.settle(turn.now)
        fresh = self.payments.known(turn.account, one.id)
        assert fresh is not None
        return fresh

    async def _once(
        self, request: web.Request, on: On, params: GraphqlRequest, plan: Callable[[], Plan]
    ) -> web.StreamResponse:
        key = params.input.get("apiRequestKey")
        if key == "":
            raise invalid("apiRequestKey is blank.")
        fingerprint = hashlib.sha256(orjson.dumps([params.field, params.input])).hexdigest()
        keyed = None if key is None else _Keyed(key, fingerprint, _KEY_LIFE_S, params=params)
        call = params.input.get("clientMutationId") or fingerprint
        return await self.front.once(request, on, plan, keyed, call=call)

    def _response(self, params: GraphqlRequest, one: Object, turn: Turn) -> Response:
        name = {"reverseTransaction": "reversal", "refundTransaction": "refund"}.get(
            params.field, "transaction"
        )
        value = {"clientMutationId": params.input.get("clientMutationId"), name: self._shown(one, turn)}
        return Response(200, params.response_body(value), about=one.id)

    def _shown(self, one: Object, turn: Turn) -> dict[str, Any]:
        if turn.do == "flap":
            one = shown.as_it_was(one)
        if one.kind == TRANSACTION:
            return shown.transaction(one, self.payments.refunds_of(one), turn.do)
        of = self.payments.known(turn.account, one.parent or "", TRANSACTION)
        assert of is not None
        return shown.refund(one, of, self.payments.refunds_of(of), turn.do)

    def _read(self, params: GraphqlRequest, turn: Turn) -> Response:
        self.payments.settle(turn.now)
        found = {"transactions": self._search(TRANSACTION, turn), "refunds": self._search(REFUND, turn)}
        known = None
        if params.field == "node":
            one = self.payments.known(turn.account, params.input["id"])
            if one is None:
                missing = error("NOT_FOUND", "An object with this ID was not found.", inputPath=["id"])
                return failed(missing, data={"node": None})
            known = self._shown(one, turn)
        return Response(200, params.response_body_of({"node": known, "search": found, "ping": "pong"}))

    def _search(self, kind: str, turn: Turn) -> Callable[..., dict[str, Any]]:
        def search(_: Any, **given: Any) -> dict[str, Any]:
            reference = (given["input"].get("orderId") or {}).get("is")
            first = max(0, min(given.get("first") or 50, _FIRST_MAX))
            until = turn.now - self.front.conditions.search_lag_s
            found = self.front.ledger.find(
                GATEWAY, turn.account.name, kind=kind, reference=reference, listed_at=turn.now, limit=1000
            )
            listed = [] if turn.do == "absent" else [one for one in found if one.created <= until]
            edges = [{"cursor": one.id, "node": self._shown(one, turn)} for one in listed[:first]]
            page = {"hasNextPage": len(listed) > first, "hasPreviousPage": False}
            return {"edges": edges, "pageInfo": page}

        return search
