"""Actions in a PSP's own dashboard: nothing of AegisPay's is on them, and the PSP's webhooks follow."""

from pathlib import Path
from typing import Any

from gateways.simulator.core.ledger import read_movements
from tests.gateways.simulator.client import MANUAL, Client, until
from tests.gateways.simulator.receiver import Receiver
from tests.support.movements import minor

REFERENCE = "0123456789abcdef0123456789abcdef-a1"


async def act(stripe: Client, do: str, **more: Any) -> int:
    action = {"gateway": "stripe", "account": "sim-eu", "reference": REFERENCE, "do": do, **more}
    async with stripe.http.post(f"{stripe.root}/_simulator/dashboard", json=action) as response:
        return response.status


async def test_a_part_is_captured_and_refunded_in_the_dashboard_and_reported(
    hearing: Client, receiver: Receiver, ledger_file: Path
):
    await hearing.create(**MANUAL, **{"metadata[order_ref]": REFERENCE})

    assert await act(hearing, "capture", minor=900) == 200
    assert await act(hearing, "refund", minor=400) == 200

    await until(lambda: "charge.refunded" in receiver.types)
    assert {"payment_intent.succeeded", "refund.created"} <= set(receiver.types)
    (refund,) = (
        one.event["data"]["object"] for one in receiver.came if one.event["type"] == "refund.created"
    )
    assert refund["metadata"] == {}
    moved = [(one.kind, minor(one), one.reference) for one in read_movements(ledger_file)]
    assert moved == [
        ("authorized", 1099, REFERENCE),
        ("captured", 900, ""),
        ("released", 199, ""),
        ("refunded", 400, ""),
    ]


async def test_what_the_pages_do_not_offer_is_refused(hearing: Client, ledger_file: Path):
    await hearing.create(**MANUAL, **{"metadata[order_ref]": REFERENCE})

    assert await act(hearing, "cancel", reason="fraudulent") == 200
    assert await act(hearing, "capture") == 409
    assert await act(hearing, "refund") == 409

    assert [one.kind for one in read_movements(ledger_file)] == ["authorized", "released"]
