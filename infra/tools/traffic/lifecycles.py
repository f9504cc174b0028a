"""The lifecycles of a shop's orders beside plain sales: held until shipped, released, refunded, challenged by
the customer's bank, paid through the second account. Derived from the orders, so the same orders have the
same lifecycles."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Final, Literal

from infra.tools.traffic.orders import Order

Verb = Literal["challenge", "capture", "void", "refund"]

_PLAIN: Final = "pm_card_visa"
_CHALLENGED: Final = "pm_card_threeDSecure2Required"
# Declined for now by the simulator's first account: the merchant's second one takes it, and captures it
# several times.
_SECOND_ACCOUNT: Final = "pm_sim_soft_here"


@dataclass(frozen=True, slots=True)
class Step:
    """The next step of the shop, or in a challenge of its customer. `amount_minor`: None is all that is
    left."""

    verb: Verb
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True)
class OrderLifecycle:
    """An order and its steps. `name`: the kind of lifecycle. `ends`: the payment's status after the last
    step."""

    name: str
    order: Order
    capture: Literal["automatic", "manual"]
    steps: tuple[Step, ...]
    ends: str


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of lifecycle. `steps`: each with the share of the order that it is about, in thirds; None:
    all that is left. `currencies`: those in which the merchant has an account for it; none named: all."""

    name: str
    method: str
    capture: Literal["automatic", "manual"]
    steps: tuple[tuple[Verb, int | None], ...]
    ends: str
    currencies: frozenset[str] = frozenset()


_KINDS: Final = (
    _Kind("shipped", _PLAIN, "manual", (("capture", None),), "CAPTURED"),
    _Kind("refunded", _PLAIN, "automatic", (("refund", None),), "REFUNDED"),
    _Kind("challenged", _CHALLENGED, "automatic", (("challenge", None),), "CAPTURED"),
    _Kind("not shipped", _PLAIN, "manual", (("void", None),), "VOIDED"),
    _Kind("by the second account", _SECOND_ACCOUNT, "automatic", (), "CAPTURED"),
    _Kind("shipped in part", _PLAIN, "manual", (("capture", 2),), "PARTIALLY_CAPTURED"),
    _Kind("refunded in parts", _PLAIN, "automatic", (("refund", 1), ("refund", 1)), "PARTIALLY_REFUNDED"),
    _Kind(
        "challenged, shipped, then refunded in part",
        _CHALLENGED,
        "manual",
        (("challenge", None), ("capture", None), ("refund", 1)),
        "PARTIALLY_REFUNDED",
    ),
    _Kind(
        "shipped in several parts, the rest released",
        _SECOND_ACCOUNT,
        "manual",
        (("capture", 1), ("capture", 1), ("void", None)),
        "PARTIALLY_CAPTURED",
    ),
)


_WEST: Final = frozenset({"EUR", "USD", "GBP"})
_ELSEWHERE: Final = (
    _Kind("sold at Adyen", "adyen:sim_APPROVED", "automatic", (), "CAPTURED", _WEST),
    _Kind("sold at PayPal", "paypal:sim_ok", "automatic", (), "CAPTURED", _WEST),
    _Kind("sold at Braintree", "braintree:fake-valid-visa-nonce", "automatic", (), "CAPTURED", _WEST),
    _Kind(
        "sold at Razorpay, at the customer's bank",
        "razorpay:token_visa",
        "automatic",
        (("challenge", None),),
        "CAPTURED",
        frozenset({"INR", *_WEST}),
    ),
    _Kind(
        "agreed on PayPal's page",
        "paypal:paypal",
        "automatic",
        (("challenge", None),),
        "CAPTURED",
        _WEST,
    ),
    _Kind("challenged at Adyen", "adyen:sim_3DS", "automatic", (("challenge", None),), "CAPTURED", _WEST),
    _Kind(
        "shipped in part by Braintree",
        "braintree:fake-valid-visa-nonce",
        "manual",
        (("capture", 2),),
        "PARTIALLY_CAPTURED",
        _WEST,
    ),
    _Kind(
        "shipped, then refunded in part by Adyen",
        "adyen:sim_APPROVED",
        "manual",
        (("capture", None), ("refund", 1)),
        "PARTIALLY_REFUNDED",
        _WEST,
    ),
    _Kind(
        "shipped, then refunded in part by PayPal",
        "paypal:sim_ok",
        "manual",
        (("capture", None), ("refund", 1)),
        "PARTIALLY_REFUNDED",
        _WEST,
    ),
    _Kind("not shipped, at Adyen", "adyen:sim_APPROVED", "manual", (("void", None),), "VOIDED", _WEST),
    _Kind("not shipped, at PayPal", "paypal:sim_ok", "manual", (("void", None),), "VOIDED", _WEST),
    _Kind(
        "not shipped, at Braintree",
        "braintree:fake-valid-visa-nonce",
        "manual",
        (("void", None),),
        "VOIDED",
        _WEST,
    ),
    _Kind(
        "shipped, then refunded by Razorpay",
        "razorpay:token_frictionless",
        "manual",
        (("capture", None), ("refund", None)),
        "REFUNDED",
        frozenset({"INR", *_WEST}),
    ),
    _Kind(
        "refunded by Braintree",
        "braintree:fake-valid-visa-nonce",
        "automatic",
        (("refund", None),),
        "REFUNDED",
        _WEST,
    ),
)


def lifecycles(orders: Iterable[Order], *, everywhere: bool = False) -> Iterator[OrderLifecycle]:
    """Yields a lifecycle for every second order that would be paid at once, each kind in turn; the others
    are sales. `everywhere`: sales that another PSP takes are paid there."""
    kinds, elsewhere = cycle(_KINDS), deque(_ELSEWHERE)
    plain = 0
    for order in orders:
        plain += order.payment_method == _PLAIN
        if order.payment_method == _PLAIN and plain % 2:
            yield _lifecycle(order, next(kinds))
        elif everywhere and order.payment_method == _PLAIN and (kind := _next_for(order, elsewhere)):
            yield _lifecycle(order, kind)
        else:
            yield OrderLifecycle("sold", order, "automatic", (), order.ends)


def _next_for(order: Order, elsewhere: deque[_Kind]) -> _Kind | None:
    """Returns the kind that has waited longest among those in the order's currency; None: none fits."""
    for kind in elsewhere:
        if order.currency in kind.currencies:
            elsewhere.remove(kind)
            elsewhere.append(kind)
            return kind
    return None


def _lifecycle(order: Order, kind: _Kind) -> OrderLifecycle:
    steps = tuple(Step(verb, None if thirds is None else _part(order, thirds)) for verb, thirds in kind.steps)
    return OrderLifecycle(
        kind.name, replace(order, payment_method=kind.method), kind.capture, steps, kind.ends
    )


def _part(order: Order, thirds: int) -> int:
    """Returns a share in tens of the minor unit: cards take no other of a currency with three decimals."""
    return order.amount_minor // 30 * 10 * thirds
