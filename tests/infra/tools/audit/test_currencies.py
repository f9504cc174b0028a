"""Every currency that an adapter sends: the simulator, which reads it by the PSP's document, and the
judge, by ISO 4217, come to the amount that was meant."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from aggregates import money
from gateways.adyen import amounts as adyen
from gateways.braintree import amounts as braintree
from gateways.paypal import amounts as paypal
from gateways.razorpay import amounts as razorpay
from gateways.simulator.adyen.currencies import CURRENCIES as ADYEN
from gateways.simulator.braintree.currencies import read as read_braintree
from gateways.simulator.core.money import major_units
from gateways.simulator.paypal.currencies import read as read_paypal
from gateways.simulator.razorpay.currencies import CURRENCIES as RAZORPAY
from gateways.simulator.stripe.currencies import CURRENCIES as STRIPE
from gateways.stripe import amounts as stripe
from infra.tools.audit import units

_WHOLE = 1000
Read = Callable[[Any, str], int | None]
_PSPS: dict[str, tuple[Any, Read]] = {
    "stripe": (stripe, STRIPE.mills),
    "adyen": (adyen, ADYEN.mills),
    "paypal": (paypal, lambda wire, currency: read_paypal(wire, "/amount")[0]),
    "braintree": (braintree, read_braintree),
    "razorpay": (razorpay, RAZORPAY.mills),
}


@pytest.mark.parametrize(
    ("psp", "currency"),
    [
        pytest.param(psp, currency, id=f"{psp}-{currency}")
        for psp, (amounts, _) in _PSPS.items()
        for currency in sorted(amounts.CURRENCIES & set(money.CURRENCIES))
    ],
)
def test_a_thousand_of_a_currency_is_a_thousand_at_the_psp_and_to_the_judge(psp: str, currency: str):
    amounts, read = _PSPS[psp]
    minor = _WHOLE * 10 ** money.exponent(currency)

    mills = read(amounts.to_wire(minor, currency), currency)

    assert mills is not None
    assert major_units(mills) == units.major_units(minor, currency) == Decimal(_WHOLE)


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("10.990", "EUR", "10.99 EUR"),
        ("10.000", "EUR", "10.00 EUR"),
        ("1099.000", "JPY", "1099 JPY"),
        ("1000", "JPY", "1000 JPY"),
        ("5.120", "KWD", "5.120 KWD"),
        ("10.995", "EUR", "10.995 EUR"),
        ("0.500", "JPY", "0.500 JPY"),
    ],
)
def test_an_amount_of_the_ledger_is_written_as_people_write_it_unless_it_is_no_whole_number_of_units(
    amount: str, currency: str, written: str
):
    assert units.written(Decimal(amount), currency) == written
