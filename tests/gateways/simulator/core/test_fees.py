"""The simulator's own price lists. The right values are those of docs/fees.md's pages."""

from decimal import Decimal
from pathlib import Path

import pytest

from gateways.simulator.core.fees import Fees, Kept, Price, PriceList
from gateways.simulator.core.ledger import Ledger, read_fees
from gateways.simulator.core.money import Currencies
from gateways.simulator.core.rows import Moved, Object, Under
from gateways.simulator.registry import PSPS, accounts

CURRENCIES = Currencies.table((0, "JPY"), (2, "EUR USD INR"))
CENT = Decimal("0.01")


@pytest.mark.parametrize(
    ("price", "amount", "kept"),
    [
        (Price(percent=Decimal("1.5"), fixed={"EUR": Decimal("0.25")}), "100.00", Kept(1750, 0)),
        (Price(percent=Decimal(2), tax_percent=Decimal(18)), "10.00", Kept(240, 40)),  # Razorpay's example
        (Price(percent=Decimal(1)), "2.50", Kept(30, 0)),  # Stripe rounds 0.025 to 0.03
        (Price(percent=Decimal(1), rounding="down"), "2.99", Kept(20, 0)),  # Braintree rounds down
        (Price(fixed={"USD": Decimal("0.13")}), "10.00", None),  # the list has no price in euros
    ],
)
def test_a_price_keeps_what_the_psps_page_says(price: Price, amount: str, kept: Kept | None):
    assert price.of(Decimal(amount), "EUR", CENT) == kept


def test_an_account_may_have_prices_of_its_own():
    listed = PriceList(CURRENCIES, {"captured": Price(percent=Decimal(3))}, "3 %")
    own = {("toy", "cheap"): {"captured": Price(percent=Decimal(1))}}
    fees = Fees({"toy": listed}, own)

    assert fees.of("toy", "dear", "captured", 10_000, "EUR") == Kept(300, 0)
    assert fees.of("toy", "cheap", "captured", 10_000, "EUR") == Kept(100, 0)
    assert fees.of("toy", "dear", "refunded", 10_000, "EUR") is None
    assert fees.of("other", "dear", "captured", 10_000, "EUR") is None


def test_the_accounts_file_takes_prices():
    text = (
        '[accounts.shop]\ngateway = "stripe"\nsecret = "sk_test_1"\n'
        '[accounts.shop.fees.captured]\npercent = "2.9"\nfixed = { USD = "0.30" }\n'
    )
    (account,) = accounts(text).all

    assert account.fees is not None
    assert account.fees["captured"].of(Decimal(100), "USD", CENT) == Kept(3200, 0)


@pytest.mark.parametrize("psp", PSPS, ids=lambda psp: psp.name)
def test_every_psp_says_what_it_keeps_of_a_capture(psp):
    assert psp.fees is not None
    currency = "INR" if psp.name == "razorpay" else "EUR"
    kept = Fees({psp.name: psp.fees}).of(psp.name, "any", "captured", 100_000, currency)

    assert kept is not None
    assert kept.mills > 0


def test_a_fee_is_entered_with_its_movement_and_a_disputes_once(tmp_path: Path):
    prices = {
        "captured": Price(percent=Decimal("1.5")),
        "disputed": Price(fixed={"EUR": Decimal(20)}),
    }
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.fees = Fees({"toy": PriceList(CURRENCIES, prices, "")})
    under = Under("toy", "pay_1", "shop", "p-s1", "EUR")
    dispute = Object("toy", "dp_1", "shop", "dispute", "open", 100_000, "EUR", 1.0, payment="pay_1")

    with ledger.writing():
        ledger.enter(under, 0, [Moved("captured", "ch_1", "p-s1", 100_000)], 1.0)
        ledger.disputed(dispute, "p-s1", 0, 2.0)  # an inquiry takes nothing
    with ledger.writing():
        ledger.disputed(dispute, "p-s1", 100_000, 3.0)
        ledger.disputed(dispute, "p-s1", 0, 4.0)
        ledger.disputed(dispute, "p-s1", 100_000, 5.0)
    ledger.close()

    found = [
        (x.kind, x.psp_id, x.intent_id, x.reference, x.amount) for x in read_fees(tmp_path / "ledger.db")
    ]
    assert found == [
        ("disputed", "dp_1", "pay_1", "p-s1", Decimal(20)),
        ("captured", "ch_1", "pay_1", "p-s1", Decimal("1.5")),
    ]
