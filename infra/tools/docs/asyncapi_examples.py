"""One valid example of each message that producers send, for docs/asyncapi.yaml. All are about the same
payment."""

from typing import Any, Final

from pydantic import BaseModel

from commands import messages
from commands.ids import payment_id

_PAYMENT_ID: Final = str(payment_id("shop", "order-1001"))


def _of(kind: type[BaseModel], last_digit: int, **more: Any) -> dict[str, Any]:
    return {
        "type": kind.model_fields["type"].default,
        "command_id": f"0c3f7a52-5d0f-4a37-9a55-0d1c3c7b7a1{last_digit}",
        "payment_id": _PAYMENT_ID,
        "merchant_id": "shop",
    } | more


_OPERATION_ID: Final = f"{payment_id('shop', 'order-1001').hex}-s1"
EXAMPLES: Final[dict[type[BaseModel], tuple[str, dict[str, Any]]]] = {
    messages.CreatePayment: (
        "EUR 10.99",
        _of(
            messages.CreatePayment,
            0,
            idempotency_key="order-1001",
            amount_minor=1099,
            currency="EUR",
            payment_method="pm_card_visa",
            customer_id="customer-7",
            expires_at="2030-01-01T00:00:00Z",
        ),
    ),
    messages.CapturePayment: (
        "EUR 5.00, and the rest is released",
        _of(messages.CapturePayment, 1, amount_minor=500, final=True),
    ),
    messages.VoidPayment: ("what is left", _of(messages.VoidPayment, 2)),
    messages.RefundPayment: (
        "EUR 2.50",
        _of(messages.RefundPayment, 3, amount_minor=250, reason="one of the shirts came back"),
    ),
    messages.CompleteAction: ("the newest challenge", _of(messages.CompleteAction, 4)),
    messages.CancelPayment: ("nothing is to be taken", _of(messages.CancelPayment, 5)),
    messages.ResolvePayment: (
        "after an operator has looked",
        _of(
            messages.ResolvePayment,
            6,
            operation_id=_OPERATION_ID,
            decision="charged",
            evidence="the PSP's statement of 22 November, line 14",
            who="ada",
        ),
    ),
    messages.ResolveDispute: (
        "after an operator has looked",
        _of(
            messages.ResolveDispute,
            8,
            dispute_id="PP-D-4012",
            decision="won",
            evidence="case PP-D-4012 in PayPal's resolution centre",
            who="ada",
        ),
    ),
    messages.ReviewPayment: (
        "after a person has looked",
        _of(
            messages.ReviewPayment,
            9,
            decision="allow",
            evidence="the customer confirmed the order by telephone, ticket 812",
            who="ada",
        ),
    ),
    messages.RetryStatusQuery: ("every open question", _of(messages.RetryStatusQuery, 7)),
}
