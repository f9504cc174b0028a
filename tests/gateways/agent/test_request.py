"""The command worker's events are the agent's requests: what the one accepts and writes, the other reads."""

import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import orjson
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from aggregates.events import OperationFollowUpRequested, OperationStarted
from aggregates.fees import NO_FEES, FeeBook
from aggregates.payment import Payment
from aggregates.routing.accounts import Limit, PspAccount
from aggregates.routing.route import Route
from commands.handlers import Context, handle
from commands.messages import (
    CancelPayment,
    CapturePayment,
    CompleteAction,
    CreatePayment,
    InvalidMessage,
    Message,
    RecordOutcome,
    RefundPayment,
    ResolvePayment,
    RetryStatusQuery,
    VoidPayment,
    Wake,
)
from commands.parsing import parse_command, parse_outcome
from commands.records import Record
from commands.stored_events import EventMapper
from gateways import registry
from gateways.agent.request import read
from tests.support.builders import NOW, PSP
from tests.support.from_schema import fields_of

_PAYMENT: Final = UUID("c0ffee00-0000-4000-8000-000000000001")
_MERCHANT: Final = "demo"
_LIMITS: Final[tuple[frozenset[Limit], ...]] = (
    frozenset(),
    frozenset({"no_lookup"}),
    frozenset({"refund_of_capture", "disputes_show_as_refunds"}),
    frozenset({"full_capture", "no_void"}),
)


@dataclass(frozen=True)
class _Accounts:
    """Two accounts of every PSP. A token without a name is `first`'s."""

    first: str
    like: PspAccount
    fees: FeeBook = NO_FEES

    def stray_prefix(self, merchant_id: str, payment_method: str) -> str | None:
        return registry.stray_prefix(payment_method, self.first)

    def stray_name(self, payment_methods: Mapping[str, str]) -> str | None:
        return registry.stray_name(payment_methods)

    def for_payment(
        self,
        merchant_id: str,
        currency: str,
        payment_method: str | None,
        payment_methods: Mapping[str, str] | None,
    ) -> Route:
        if payment_method is None:
            gateways = list(payment_methods or {})
        else:
            named = payment_method.partition(":")[0]
            gateways = [named if named in registry.ADAPTERS else self.first]
        like = [(gateway, f"{gateway}-{n}") for gateway in gateways for n in "12"]
        return Route(tuple(replace(self.like, gateway=name, account=account) for name, account in like))


_ACCOUNTS: Final = st.builds(
    lambda first, **fields: _Accounts(first, replace(PSP, **fields)),
    st.sampled_from(list(registry.ADAPTERS)),
    key_life_s=st.sampled_from([0, 3600]),
    multicapture=st.booleans(),
    overcapture_percent=st.sampled_from([0, 15]),
    final_call_by=st.sampled_from(["psp", "us"]),
    limits=st.sampled_from(_LIMITS),
)
_GATEWAYS: Final = sorted(registry.ADAPTERS)
_NAMES: Final = sorted(f"{name}:" for name in registry.ADAPTERS)
_PREFIXES: Final = sorted({p for one in registry.ADAPTERS.values() for p in one.facts.token_prefixes})
_NOTHING: Final = ["", ":", " ", "\t", "\x7f"]
_TOKENS: Final = st.tuples(
    st.sampled_from(["", *_NAMES]),
    st.sampled_from(["", "", "", *(f"{prefix}:" for prefix in _PREFIXES)]),
    st.sampled_from(["pm_card_visa", "a" * 240] * 5 + _NOTHING),
).map("".join)
"""Prefixes with nothing behind them too, which no schema makes often."""


@st.composite
def _creates(draw: st.DrawFn) -> bytes:
    """A create that may start an operation, since amount, currency and time are mostly such as the rules
    take."""
    body = draw(fields_of(CreatePayment))
    body |= {"type": "create_payment.v1", "payment_id": str(_PAYMENT), "merchant_id": _MERCHANT}
    by_gateway = draw(st.none() | st.dictionaries(st.sampled_from(_GATEWAYS), _TOKENS, min_size=1))
    usual = {
        "amount_minor": draw(st.integers(1, 10**6)),
        "currency": draw(st.sampled_from(["EUR", "JPY", "BHD"])),
        "expires_at": (NOW + draw(st.sampled_from([timedelta(hours=1), timedelta(days=30)]))).isoformat(),
        "payment_method": None if by_gateway else draw(_TOKENS),
        "payment_methods": by_gateway,
    }
    kept = draw(st.sets(st.sampled_from(sorted(usual)), max_size=1))
    return orjson.dumps(body | {name: value for name, value in usual.items() if name not in kept})


_AFTER: Final = (
    *[RecordOutcome] * 6,
    *[Wake] * 3,
    CapturePayment,
    VoidPayment,
    RefundPayment,
    CompleteAction,
    CancelPayment,
    ResolvePayment,
    RetryStatusQuery,
)


@st.composite
def _later(draw: st.DrawFn) -> tuple[str, dict[str, Any], int, int]:
    """A message after the create: its kind, its fields, the operation that it names and the seconds before
    it."""
    kind = draw(st.sampled_from(_AFTER))
    body = draw(fields_of(kind))
    if kind is RecordOutcome and draw(st.integers(0, 4)):
        kinds = st.sampled_from([body["outcome"]["kind"], "APPROVED"])
        body["outcome"] |= {"kind": draw(kinds), "currency": None, "amount_minor": None}
    if draw(st.booleans()):
        body.pop("amount_minor", None)
    body["type"] = kind.model_fields["type"].default
    return kind.__name__, body, draw(st.integers(0, 3)), draw(st.sampled_from([0, 6, 700, 90_000, 700_000]))


def _message(kind: str, body: dict[str, Any], payment: Payment, which: int, now: datetime) -> Message:
    names = list(payment.operations)
    ours: dict[str, Any] = {"payment_id": str(_PAYMENT)}
    if kind == "RecordOutcome" or body.get("operation_id"):
        operation = payment.operations[names[which % len(names)]]
        ours["operation_id"] = operation.id
        if kind == "RecordOutcome":
            ours |= {"step": operation.step, "observed_at": now.isoformat()}
            if body["outcome"]["kind"] == "APPROVED" and body["outcome"].get("amount_minor") is None:
                ours["outcome"] = body["outcome"] | {
                    "amount_minor": operation.amount.minor,
                    "currency": operation.amount.currency,
                }
    if kind not in {"RecordOutcome", "Wake"}:
        ours["merchant_id"] = _MERCHANT
    raw = orjson.dumps(body | ours)
    return parse_outcome(raw) if kind == "RecordOutcome" else parse_command(raw)


def _requests(payment: Payment) -> Iterator[Record]:
    """The records that the relay makes of the payment's requests."""
    mapper = EventMapper()
    for one in payment.pending_events:
        if isinstance(one, OperationStarted | OperationFollowUpRequested):
            stored = mapper.to_stored_event(one)
            headers = {"ce_type": stored.topic.encode()}
            yield Record("gateways.x.requests", 0, 0, str(payment.id).encode(), stored.state, headers, 0)


@given(_creates(), _ACCOUNTS, st.lists(_later(), max_size=8))
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_the_agent_reads_every_request_that_the_command_worker_writes(
    raw: bytes, accounts: _Accounts, later: list[tuple[str, dict[str, Any], int, int]]
):
    now, chance = NOW, random.Random(7)

    def context() -> Context:
        return Context(now, chance.random(), None, None, accounts, {})

    try:
        create = parse_command(raw)
        payment = handle(create, None, context()).payment
    except InvalidMessage:
        assume(False)
    for number, (kind, body, which, seconds) in enumerate(later if payment.operations else []):
        now += timedelta(seconds=seconds)
        with suppress(InvalidMessage):
            named = body | {"command_id": str(uuid5(_PAYMENT, str(number)))}
            payment = handle(_message(kind, named, payment, which, now), payment, context()).payment

    for record in _requests(payment):
        request = read(record, lambda operation, _: f"https://pay.example.com/return/{operation}")
        assert request.call.reference in payment.operations
