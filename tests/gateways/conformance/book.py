"""What a PSP's case book tells the conformance suite. Invariant: a book has every case of the list, or its
`Without`.

A book responds as its PSP does: from a call that the PSP was sent to the bytes of its response.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from commands.messages import Outcome
from gateways.contract import Call, Credentials, Gateway, HttpRequest, HttpResponse, WebhookKeys
from gateways.simulator.core.accounts import Account
from gateways.simulator.core.psp import Psp
from tests.gateways.conformance.calls import ANOTHER, PAYMENT, of_money
from tests.gateways.conformance.cases import (
    CancelCase,
    KeyCase,
    Operation,
    Other,
    Result,
    Token,
    Way,
    Without,
)
from tests.gateways.conformance.oracle import Oracle
from tests.gateways.conformance.webhooks import Webhooks

Respond = Callable[[Call], HttpResponse]


@dataclass(frozen=True, slots=True)
class On:
    """The response at another step than the one that `CaseBook.calls` has; `changes`: of the call. `lookup`:
    it is the response to a lookup, not to the step itself."""

    respond: Respond
    changes: Mapping[str, Any]
    lookup: bool = False


Cell = Respond | On | Without
Shows = Callable[[Call, Sequence[Call]], HttpResponse]
"""The response to a lookup of a call, where the PSP has executed these calls, which have the reference or
the id that is looked up."""


Customer = Callable[[aiohttp.ClientSession, str], Awaitable[Mapping[str, str]]]
"""Passes the challenge at this address, and gives what the browser brings back to the shop."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """The PSP's simulator. `account`: with the book's credentials. `tokens`: the payment method that plays
    it. `keys`: with which its webhooks are verified."""

    psp: Psp
    account: Account
    tokens: Mapping[Token, str | Without]
    customer: Customer | Without
    keys: WebhookKeys | Without


@dataclass(frozen=True, slots=True)
class CaseBook:
    """`calls`: the step of each operation at which the money moves, as the agent makes it; `before`: the
    steps ahead of it, each with the PSP's response. `psp_id`: of the operation with this reference, as an
    outcome reports it. `written`: the amount in a request of an operation's first step, where it has one.
    `key_of`: the idempotency key in a request. `unseen`: what the response to the call does not
    distinguish from what was requested. `keyless`: what may be repeated without a key. `id_at`: what the
    operation is known by at a step, where that is not its `psp_id`. `issuer`: the response to a declined
    authorize or sale with this code and this advice of the issuer's, of which `issuer_codes` are some."""

    gateway: Gateway
    credentials: Credentials
    calls: Mapping[Operation, Call | Without]
    responses: Mapping[Operation, Mapping[Result, Cell]]
    psp_id: Callable[[str], str]
    amounts: Mapping[tuple[int, str], str | Without]
    written: Callable[[HttpRequest], str | None]
    key_of: Callable[[HttpRequest], str | None]
    keys: Mapping[Operation, Mapping[KeyCase, Cell] | Without]
    looks: Mapping[Operation, Mapping[Way, Shows | Without] | Without]
    twice: Mapping[Operation, Shows | Without]
    cancels: Mapping[CancelCase, Cell]
    unseen: Mapping[tuple[Operation, Other], Without]
    keyless: Mapping[Operation, Without]
    error_in_200: HttpResponse
    error_in_200_is: frozenset[Result]
    too_many: HttpResponse
    error_saying: Callable[[str], HttpResponse]
    oracle: Oracle | Without
    webhooks: Webhooks | Without
    simulator: Simulated | Without
    issuer: Callable[[Any, Any], tuple[Call, HttpResponse]] | Without
    issuer_codes: Mapping[str, str | None] = field(
        default_factory=lambda: {"51": "02", "R1": "21", "14": None}
    )
    before: Mapping[Operation, Sequence[On]] = field(default_factory=dict)
    id_at: Callable[[Call], str | None] | None = None
    sign_in_response: HttpResponse | None = None

    def best(self, operation: Operation) -> Cell:
        """How it goes well."""
        responses = self.responses[operation]
        return responses["PENDING"] if isinstance(responses["APPROVED"], Without) else responses["APPROVED"]

    @property
    def name(self) -> str:
        return self.gateway.facts.name

    def call(self, operation: Operation) -> Call:
        call = self.calls[operation]
        assert isinstance(call, Call)
        return call

    def first(self, operation: Operation) -> Call:
        """Its first step."""
        before = self.before.get(operation)
        return replace(self.call(operation), **before[0].changes) if before else self.call(operation)

    def case(self, operation: Operation, cell: Cell) -> tuple[Call, HttpResponse]:
        """The call, and the response to it."""
        assert not isinstance(cell, Without)
        if isinstance(cell, On):
            call = replace(self.call(operation), **cell.changes)
            return call, cell.respond(call)
        return self.call(operation), cell(self.call(operation))

    def other_response(self, operation: Operation, what: Other) -> tuple[Call, HttpResponse]:
        """The call as it is sent, and a successful response about another thing."""
        cell = self.best(operation)
        assert not isinstance(cell, Without)
        respond, changes = (cell.respond, cell.changes) if isinstance(cell, On) else (cell, {})
        requested = replace(self.call(operation), **changes)
        return requested, respond(self.other(requested, what))

    def read(self, operation: Operation, about: Callable[[Call], Call]) -> tuple[Call, Outcome | None]:
        """The call that `about` makes of the operation's, and what is known of it when it has gone well: from
        its response, or from a lookup where the response cannot show it."""
        ways = self.looks[operation]
        shows = ways["by_reference"] if not isinstance(ways, Without) else ways
        cell = self.best(operation)
        if isinstance(self.responses[operation]["APPROVED"], Without) and not isinstance(shows, Without):
            call = about(replace(self.call(operation), psp_id=None))
            return call, self.gateway.found(call, shows(call, [call]))
        assert not isinstance(cell, Without)
        respond, changes = (cell.respond, cell.changes) if isinstance(cell, On) else (cell, {})
        call = about(replace(self.call(operation), **changes))
        return call, self.gateway.outcome(call, respond(call))

    def other(self, call: Call, what: Other) -> Call:
        """The call that a response about another thing would belong to."""
        match what:
            case "more":
                return of_money(call, call.amount_minor + 100, call.currency)
            case "less":
                return of_money(call, call.amount_minor - 10, call.currency)
            case "currency":
                return replace(call, currency="EUR")
            case "payment":
                return self.another(call)

    def another(self, call: Call) -> Call:
        """The same operation of another payment."""
        target = call.target_reference and call.target_reference.replace(PAYMENT, ANOTHER)
        another = replace(
            call,
            reference=call.reference.replace(PAYMENT, ANOTHER),
            target_reference=target,
            target_psp_id=self.psp_id(target) if target else None,
        )
        if call.psp_id is None:
            return another
        known = self.psp_id(another.reference) if self.id_at is None else self.id_at(another)
        return replace(another, psp_id=known)
