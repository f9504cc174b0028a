"""What PayPal keeps of each capture: 3.49 % and 0.49 USD, by its price list for checkout in the United
States, as the simulator declares it; to the nearest cent.
"""

from decimal import Decimal
from pathlib import Path

from gateways.simulator.core.ledger import read_fees
from tests.gateways.simulator.paypal.client import Client, later


def kept(file: Path) -> list[tuple[str, str, Decimal, str]]:
    """Under which payment, for which operation, and how much."""
    return [
        (one.intent_id, one.reference.rpartition("-")[2], one.amount, one.currency) for one in read_fees(file)
    ]


async def test_a_sales_fee_is_kept_when_it_is_taken_and_a_refund_does_not_give_it_back(
    paypal: Client, ledger_file: Path
):
    sold = await paypal.sold()
    await paypal.send(later(sold, "refund", 1099))

    assert kept(ledger_file) == [(sold[1], "s1", Decimal("0.87"), "USD")]
    assert {one.psp_id for one in read_fees(ledger_file)} == {sold[1]}  # as of its movement


async def test_each_capture_of_an_authorization_has_its_own_and_what_was_only_held_has_none(
    paypal: Client, ledger_file: Path
):
    held = await paypal.authorized()
    assert kept(ledger_file) == []

    for number, minor in ((2, 400), (3, 600)):
        await paypal.send(later(held, "capture", minor, number))

    assert sorted(kept(ledger_file)) == [
        (held[1], "c2", Decimal("0.63"), "USD"),
        (held[1], "c3", Decimal("0.70"), "USD"),
    ]


async def test_what_was_declined_costs_nothing(paypal: Client, ledger_file: Path):
    assert (await paypal.done(paypal.call("sim_declined_once"))).kind.startswith("DECLINED")

    assert kept(ledger_file) == []
