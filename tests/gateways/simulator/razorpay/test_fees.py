"""What Razorpay keeps of each payment: 2 % and 18 % GST on that, as its interface's own examples show."""

from decimal import Decimal

from gateways.simulator.core.ledger import read_fees
from tests.gateways.simulator.razorpay.merchant import Merchant, later


def kept(merchant: Merchant) -> list[tuple[str, str, str, Decimal, str]]:
    found = read_fees(merchant.ledger_file)
    return [(x.psp_id, x.intent_id, x.reference.rpartition("-")[2], x.amount, x.currency) for x in found]


async def test_a_payments_fee_is_kept_when_it_is_captured_as_it_is_shown_and_a_refund_does_not_give_it_back(
    merchant: Merchant,
):
    held = await merchant.authorized("authorize")
    assert kept(merchant) == []

    await merchant.send(later("capture", held))
    await merchant.send(later("refund", held, 400))

    # 2 % of 10.99 are 0.22, and the tax on it is 0.04.
    assert kept(merchant) == [(held.psp_id, held.psp_id, "c2", Decimal("0.26"), "INR")]
    _, payment = await merchant.ask("GET", f"/v1/payments/{held.psp_id}")
    assert (payment["fee"], payment["tax"]) == (26, 4)
