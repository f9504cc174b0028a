"""The calls that the books respond to: the operations of one payment, as the agent makes them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, cast

from aggregates.operation import Kind
from commands.messages import Outcome
from gateways.contract import Call
from tests.gateways.conformance.cases import CHARGE_ATTEMPTS, OPERATIONS, Operation, Result
from tests.support import psp_calls

PAYMENT: Final = psp_calls.PAYMENT
ANOTHER: Final = "7c9e6679c7504405889bdcabfb2d7f13"
FULL_MINOR: Final = 1099
PART_MINOR: Final = 400
_SUFFIXES: Final[Mapping[Operation, str]] = {
    "authorize": "a1",
    "sale": "s1",
    "capture": "c2",
    "capture_part": "c2",
    "void": "v2",
    "refund": "r2",
    "refund_part": "r2",
}


def calls(payment_method: str, psp_id: Callable[[str], str], **more: Any) -> dict[Operation, Call]:
    """Each operation's call, of one step; what a capture or void acts on is authorized, what a refund gives
    back sold."""
    return {operation: _call(operation, payment_method, psp_id, **more) for operation in OPERATIONS}


def _call(operation: Operation, payment_method: str, psp_id: Callable[[str], str], **more: Any) -> Call:
    is_charge_attempt = operation in CHARGE_ATTEMPTS
    target = None if is_charge_attempt else f"{PAYMENT}-{'s1' if operation.startswith('refund') else 'a1'}"
    known: dict[str, Any] = {
        "reference": f"{PAYMENT}-{_SUFFIXES[operation]}",
        "kind": kind_of(operation),
        "amount_minor": PART_MINOR if operation.endswith("_part") else FULL_MINOR,
        "target_reference": target,
        "target_psp_id": None if target is None else psp_id(target),
        "target_minor": None if target is None else FULL_MINOR,
        "final": operation.startswith("capture"),
        "return_url": "https://shop.example/back" if is_charge_attempt else None,
    }
    return psp_calls.sale(payment_method, **(known | more))


def kind_of(operation: Operation) -> Kind:
    return cast("Kind", operation.partition("_")[0])


def of_money(call: Call, minor: int, currency: str) -> Call:
    """The same call about another sum; what it acts on is as large."""
    target_minor = None if call.target_minor is None else call.target_minor + minor - call.amount_minor
    return replace(call, amount_minor=minor, currency=currency, target_minor=target_minor)


def result_of(outcome: Outcome) -> Result:
    if outcome.kind == "NOT_SENT" and outcome.hint == "CONFIG":
        return "CONFIG"
    if outcome.kind == "UNKNOWN" and outcome.repeat_is_useless:
        return "DUPLICATE"
    assert outcome.kind not in {"EXPIRED", "PROVEN_ABSENT"}, outcome
    return cast("Result", outcome.kind)
