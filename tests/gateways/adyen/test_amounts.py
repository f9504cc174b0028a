import pytest

from aggregates import money
from gateways.adyen import amounts
from gateways.wire.money import NotExpressible


@pytest.mark.parametrize(
    ("ours", "currency", "wire"),
    [
        (1099, "USD", 1099),
        (500, "JPY", 500),
        (5120, "KWD", 5120),
        (5124, "KWD", 5124),
        (1230, "TND", 1230),
        (5, "ISK", 500),
        (1045, "HUF", 1045),
        (80000, "TWD", 80000),
        (1000, "CLP", 100_000),
        (5, "UGX", 5),
        (700, "CVE", 7),
        (5120, "IQD", 5120),
        (5121, "LYD", 5121),
        (5, "DJF", 5),
        (1_500_000, "IDR", 15_000),
        (99_999_999, "USD", 99_999_999),
    ],
)
def test_an_amount_is_written_as_adyen_writes_it_and_read_back(ours: int, currency: str, wire: int):
    assert amounts.to_wire(ours, currency) == wire
    assert amounts.from_wire(wire, currency) == ours


@pytest.mark.parametrize(
    ("ours", "currency", "code"),
    [
        (1_500_050, "IDR", "amount_not_expressible"),  # Adyen's rupiah have no sen
        (0, "USD", "amount_not_expressible"),
        (-1, "USD", "amount_not_expressible"),
        (750, "CVE", "amount_not_expressible"),  # Adyen's escudos have no centavos
        (1099, "XXX", "currency_not_supported"),
    ],
)
def test_what_cannot_be_written_exactly_is_refused(ours: int, currency: str, code: str):
    with pytest.raises(NotExpressible) as refused:
        amounts.to_wire(ours, currency)

    assert refused.value.code == code


def test_an_amount_between_two_of_our_units_is_none_of_ours():
    assert amounts.from_wire(550, "ISK") is None


def test_every_currency_of_adyens_table_is_one_of_ours():
    assert set(money.CURRENCIES) >= amounts.CURRENCIES
