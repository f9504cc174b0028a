"""What an order shows of the money that anybody has moved inside it."""

from dataclasses import replace
from typing import Any

import pytest

from commands.balances import Balances, Move
from gateways.contract import Gateway
from gateways.paypal import orders
from gateways.paypal.adapter import PayPal
from tests.gateways.paypal.payloads import (
    AUTHORIZE,
    AUTHORIZED,
    CAPTURED,
    ORDER_ID,
    REFUNDED,
    authorization,
    capture,
    http_response,
    order,
    refund,
    taken,
)

PAYPAL: Gateway = PayPal()
CAPTURE_ALONE = (f"captures/{CAPTURED.rpartition('/')[2]}",)
REFUND_ALONE = (f"refunds/{REFUNDED.rpartition('/')[2]}",)
TOOK_400 = Move(kind="capture", psp_id=CAPTURED, known_as=CAPTURE_ALONE, amount_minor=400)
TOOK_ALL = Move(kind="capture", psp_id=CAPTURED, known_as=CAPTURE_ALONE, amount_minor=1099)
GAVE_400 = Move(kind="refund", psp_id=REFUNDED, known_as=REFUND_ALONE, amount_minor=400)


def held(status: str = "CREATED", **payments: list[Any]) -> dict[str, Any]:
    return {"authorizations": [authorization(status)], **payments}


@pytest.mark.parametrize(
    ("payments", "balances"),
    [
        ({}, Balances(captured_minor=0, refunded_minor=0, held_minor=0)),
        (held(), Balances(captured_minor=0, refunded_minor=0, held_minor=1099)),
        (held("VOIDED"), Balances(captured_minor=0, refunded_minor=0, held_minor=0)),
        (
            held("PARTIALLY_CAPTURED", captures=[capture()]),
            Balances(captured_minor=400, refunded_minor=0, held_minor=699, moves=(TOOK_400,)),
        ),
        (
            held("VOIDED", captures=[capture()]),
            Balances(captured_minor=400, refunded_minor=0, held_minor=0, moves=(TOOK_400,)),
        ),
        (
            held("CAPTURED", captures=[capture(value="10.99")]),
            Balances(captured_minor=1099, refunded_minor=0, held_minor=0, moves=(TOOK_ALL,)),
        ),
        *(
            (
                {"captures": [taken(status)], "refunds": [refund()]},
                Balances(captured_minor=1099, refunded_minor=400, held_minor=0, moves=(TOOK_ALL, GAVE_400)),
            )
            for status in ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
        ),
        # What did not move, or has not yet.
        *(
            (held(captures=[capture(status)]), Balances(captured_minor=0, refunded_minor=0, held_minor=1099))
            for status in ("PENDING", "DECLINED", "FAILED", "EXPLODED")
        ),
        *(
            (
                {"captures": [taken()], "refunds": [refund(status)]},
                Balances(captured_minor=1099, refunded_minor=0, held_minor=0, moves=(TOOK_ALL,)),
            )
            for status in ("PENDING", "FAILED", "CANCELLED", "EXPLODED")
        ),
        # More was captured than was held, as PayPal allows: nothing is held, and not less.
        (
            held("PARTIALLY_CAPTURED", captures=[capture(value="12.00")]),
            Balances(
                captured_minor=1200,
                refunded_minor=0,
                held_minor=0,
                moves=(Move(kind="capture", psp_id=CAPTURED, known_as=CAPTURE_ALONE, amount_minor=1200),),
            ),
        ),
        (held(captures=[capture(amount=None)]), None),
        ({"captures": [taken()], "refunds": [refund(amount={"value": "4.00"})]}, None),
        ({"authorizations": [authorization(amount=None)]}, None),
        ({"captures": 7}, None),
        ({"captures": [7]}, None),
    ],
)
def test_an_order_shows_who_ever_moved_its_money(payments: dict[str, Any], balances: Balances | None):
    (unit,) = order("COMPLETED", AUTHORIZE, **payments)["purchase_units"]

    assert orders.balances(unit, ORDER_ID) == balances


def test_a_lookup_tells_it_with_the_outcome():
    shown = order("COMPLETED", AUTHORIZE, **held("PARTIALLY_CAPTURED", captures=[capture()]))

    found = PAYPAL.found(replace(AUTHORIZE, psp_id=AUTHORIZED), http_response(200, shown))

    assert found is not None
    assert (found.kind, found.balances) == (
        "APPROVED",
        Balances(captured_minor=400, refunded_minor=0, held_minor=699, moves=(TOOK_400,)),
    )
